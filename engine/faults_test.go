package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// Faults by the numbers of the list that the project keeps. Those at accept and
// poll are in the files fault_*_test.go.

// TestFault08HandlerPanics panics in each part of a handler, and in a task. The
// session ends, the stack is logged, and the others live on.
func TestFault08HandlerPanics(t *testing.T) {
	const message = "as asked"
	panics := map[string]struct {
		set    func(*probe)
		act    func(t *testing.T, c stream, s *session.Session)
		reason session.Reason
	}{
		"OnOpen": {
			set: func(p *probe) { p.onOpen = func(s *session.Session) { panicIfChosen(s, message) } },
			act: func(*testing.T, stream, *session.Session) {}, reason: session.ReasonHandlerPanic,
		},
		"OnMessage": {
			set: func(p *probe) {
				p.onMessage = func(s *session.Session, f session.Frame) {
					_ = s.Send(f.Bytes())
					panicIfChosen(s, message)
				}
			},
			act: func(t *testing.T, c stream, s *session.Session) {
				mustEcho(t, c, "what was sent before is written")
			},
			reason: session.ReasonHandlerPanic,
		},
		"OnPeerClose": {
			set: func(p *probe) { p.onPeerClose = func(s *session.Session) { panicIfChosen(s, message) } },
			act: func(t *testing.T, c stream, s *session.Session) { must(t, c.CloseWrite()) }, reason: session.ReasonHandlerPanic,
		},
		"OnClose": {
			set: func(p *probe) {
				p.onClose = func(s *session.Session, why *session.CloseError) {
					p.closed <- ending{s, why}
					panicIfChosen(s, message)
				}
			},
			act: func(t *testing.T, c stream, s *session.Session) { must(t, c.Close()) }, reason: session.ReasonPeerClosed,
		},
	}
	for part, c := range panics {
		t.Run(part, func(t *testing.T) {
			var log journal
			p := newProbe()
			c.set(p)
			v := serve(t, "tcp4", p, engine.WithLoops(1), engine.WithHalfOpen(), engine.WithLogger(&log))
			healthy, _ := v.open() // the first id is even, the second is not: see panicIfChosen
			mustEcho(t, healthy, "x")
			conn, opened := v.open()
			c.act(t, conn, opened)
			if c.reason == session.ReasonHandlerPanic {
				mustEnd(t, conn)
			}
			conn.Close()
			reason := v.awaitClose(c.reason)
			if c.reason == session.ReasonHandlerPanic {
				var cause *session.PanicError
				if !errors.As(reason, &cause) || cause.Value != message {
					t.Errorf("the cause is %v, want the panic", reason.Err)
				}
			}
			mustEcho(t, healthy, "unhurt")
			mustLogPanic(t, &log, message)
		})
	}
	t.Run("task", func(t *testing.T) {
		var log journal
		v := serve(t, "tcp4", newProbe(), engine.WithLogger(&log))
		c, opened := v.open()
		must(t, opened.Post(func() { panic(message) }))
		letTurnsPass(t, opened)
		mustEcho(t, c, "a task's panic ends the task only")
		mustLogPanic(t, &log, message)
	})
}

// panicIfChosen panics for every session but the first of an engine.
func panicIfChosen(s *session.Session, message string) {
	if s.ID()&(1<<24-1) != 0 {
		panic(message)
	}
}

func mustLogPanic(t *testing.T, log *journal, value string) {
	t.Helper()
	until(t, "the panic is logged", func() bool { return len(log.of("panic")) > 0 })
	lines := log.of("panic")
	if len(lines) != 1 {
		t.Fatalf("%d lines about a panic, want 1: %v", len(lines), lines)
	}
	if got := lines[0]; got.level != engine.Error || got.text["value"] != value ||
		!strings.Contains(got.text["stack"], "faults_test.go") {
		t.Errorf("the panic is logged as %v; want an error with its value and stack", got)
	}
}

// TestFault08PanicsAreThrottled: a thousand panics make a few lines.
func TestFault08PanicsAreThrottled(t *testing.T) {
	var log journal
	p := newProbe()
	p.onMessage = func(*session.Session, session.Frame) { panic("again") }
	v := serve(t, "tcp4", p, engine.WithLogger(&log))
	began := time.Now()
	const conns = 200
	for range conns {
		c := v.dial()
		_, err := io.WriteString(c, "x")
		must(t, err)
		mustEnd(t, c)
		c.Close()
		v.awaitClose(session.ReasonHandlerPanic)
	}
	seconds := int(time.Since(began)/time.Second) + 2
	if n := len(log.of("panic")); n > seconds {
		t.Errorf("%d panics in less than %d s made %d lines", conns, seconds, n)
	}
}

// TestFault08CrashByOption lets the panic end a process, for those who want it.
func TestFault08CrashByOption(t *testing.T) {
	for name, role := range map[string][]string{"inline": {"crash"}, "pool": {"crash", "pool"}} {
		t.Run(name, func(t *testing.T) {
			server := startChild(t, role...)
			c, err := net.Dial("tcp", server.line(t))
			must(t, err)
			defer c.Close()
			_, err = io.WriteString(c, "x")
			must(t, err)
			ended := make(chan error, 1)
			go func() { ended <- server.Wait() }()
			err = await(t, "the end of the process", ended)
			trace := server.stderr.String()
			if err == nil || !strings.Contains(trace, "crash as asked") || !strings.Contains(trace, "crashRole") {
				t.Errorf("the process ended with %v and\n%s", err, trace)
			}
		})
	}
}

// TestFault21HalfCloseWithDataUnderWay ends the client's side while most of the
// answer is still to come.
func TestFault21HalfCloseWithDataUnderWay(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			v := serve(t, network, newProbe())
			for seed := range amount[int64](64, 8, 2) {
				if err := echoed(v.dial(), uint64(seed), 4<<20); err != nil {
					t.Fatal(err)
				}
				if reason := v.awaitClose(session.ReasonPeerClosed); reason.Unsent != 0 {
					t.Errorf("%d bytes unsent, want 0", reason.Unsent)
				}
			}
		})
	}
}

// TestFault22ResetMidMessage: what came before the RST is delivered first. The
// loop is held up until both have arrived.
func TestFault22ResetMidMessage(t *testing.T) {
	data := patternBytes(1, 100_000)
	blocked, release := make(chan struct{}), make(chan struct{})
	var got []byte
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		if string(f.Bytes()) == "block" {
			close(blocked)
			<-release
			return
		}
		got = append(got, f.Bytes()...)
	}
	v := serve(t, "tcp4", p, engine.WithLoops(1))
	blocker, _ := v.open()
	c, _ := v.open()
	_, err := io.WriteString(blocker, "block")
	must(t, err)
	await(t, "the loop is held up", blocked)
	_, err = c.Write(data)
	must(t, err)
	reset(t, c)
	close(release)
	reason := v.awaitClose(session.ReasonPeerReset)
	if !errors.Is(reason, syscall.ECONNRESET) {
		t.Errorf("the cause is %v, want ECONNRESET", reason.Err)
	}
	if !bytes.Equal(got, data) {
		if runtime.GOOS == "linux" {
			t.Errorf("%d bytes of %d were delivered before the RST, or others", len(got), len(data))
		}
		t.Logf("%d bytes of %d were delivered; this kernel may drop them at RST", len(got), len(data))
	}
	if n := len(p.closed); n != 0 {
		t.Errorf("OnClose came %d times more", n)
	}
}

// TestFault22KilledMidMessage: somebody destroys our socket.
func TestFault22KilledMidMessage(t *testing.T) {
	var got atomic.Int64
	p := newProbe()
	p.onMessage = func(_ *session.Session, f session.Frame) { got.Add(int64(f.Len())) }
	v := launch(t, engine.WithDeps(inject.Deps{Sockets: failingRecv{sock.Kernel(), syscall.ECONNABORTED}}))
	v.probe = p
	v.listener = v.listen("tcp4", p)
	c := v.dial()
	_, err := io.WriteString(c, "tail")
	must(t, err)
	must(t, c.CloseWrite()) // which the sockets turn into the error
	reason := v.awaitClose(session.ReasonPeerReset)
	if !errors.Is(reason, syscall.ECONNABORTED) {
		t.Errorf("the cause is %v, want ECONNABORTED", reason.Err)
	}
	if got.Load() != 4 {
		t.Errorf("%d bytes were delivered before the error, want 4", got.Load())
	}
}

// TestFault23ConnectAndReset: clients that come and go at once leave nothing.
func TestFault23ConnectAndReset(t *testing.T) {
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2))
	addr := v.listener.Addr()
	conns := amount(10_000, 10_000, 1000)
	const dialers = 4
	var all sync.WaitGroup
	for range dialers {
		all.Go(func() {
			for range conns / dialers {
				c, err := net.DialTimeout(addr.Network(), addr.String(), patience)
				if err != nil {
					t.Error(err)
					return
				}
				check(t, c.(*net.TCPConn).SetLinger(0))
				c.Close()
			}
		})
	}
	all.Wait()
	c := v.dial()
	mustEcho(t, c, "accepts after all")
	var st engine.Stats
	var closed uint64
	until(t, "only the last is left, and the others are counted", func() bool { // which comes after they are gone
		st, closed = v.engine.Stats(), 0
		for _, n := range st.Closed {
			closed += n
		}
		return st.Sessions == 1 && st.Opened == closed+1
	})
	if st.Opened != closed+1 || st.Refused != 0 {
		t.Errorf("%d opened, %d closed, %d refused; want all but one closed", st.Opened, closed, st.Refused)
	}
	if st.Memory.Buffers.Segments > int64(st.Loops) {
		t.Errorf("%d segments are held, want one per loop", st.Memory.Buffers.Segments)
	}
}

// TestFault34CloseDuringWrite closes and aborts from another goroutine and from
// a handler while much is being written.
func TestFault34CloseDuringWrite(t *testing.T) {
	for name, end := range map[string]func(*session.Session) error{
		"Close": (*session.Session).Close, "Abort": (*session.Session).Abort,
	} {
		t.Run(name, func(t *testing.T) {
			p := newProbe()
			p.onMessage = func(s *session.Session, _ session.Frame) {
				if err := end(s); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s in a handler: %v", name, err)
				}
			}
			v := serve(t, "tcp4", p)
			for range amount(500, 50, 10) {
				c, opened := v.open()
				var all sync.WaitGroup
				var released atomic.Int32
				queued := int32(0)
				for range 3 {
					if opened.SendOwned(make([]byte, 512<<10), func() { released.Add(1) }) == nil {
						queued++
					}
				}
				all.Go(func() { _ = end(opened) })
				all.Go(func() { _, _ = io.WriteString(c, "end") })
				_, _ = io.Copy(io.Discard, c)
				all.Wait()
				c.Close()
				await(t, "OnClose", p.closed)
				until(t, "released", func() bool { return released.Load() == queued })
				for range 2 {
					if err := end(opened); !errors.Is(err, net.ErrClosed) {
						t.Errorf("%s after the end: %v, want net.ErrClosed", name, err)
					}
				}
			}
		})
	}
}

// TestFault51BadAddress: one error that names what is wrong.
func TestFault51BadAddress(t *testing.T) {
	v := launch(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	inUse := taken.Addr().String()
	for _, c := range []struct {
		network, address string
		is               error
	}{
		{"tcp", inUse, syscall.EADDRINUSE},
		{"tcp4", inUse, syscall.EADDRINUSE},
		{"tcp", "127.0.0.1:70000", nil},
		{"tcp", "127.0.0.1", nil},
		{"tcp", "127.0.0.1:http:80", nil},
		{"tcp4", "[::1]:0", nil},
		{"tcp", "192.0.2.1:0", syscall.EADDRNOTAVAIL},
		{"udp", "127.0.0.1:0", nil},
		{"unix", "/nonexistent/dir/socket", syscall.ENOENT},
		{"unix", strings.Repeat("x", 200), syscall.ENAMETOOLONG},
	} {
		_, err := v.engine.Listen(c.network, c.address, newEcho())
		switch {
		case err == nil:
			t.Errorf("Listen on %s %s succeeded", c.network, c.address)
		case c.is != nil && !errors.Is(err, c.is):
			t.Errorf("Listen on %s %s: %v, want %v", c.network, c.address, err, c.is)
		case !strings.Contains(err.Error(), c.address) && !strings.Contains(err.Error(), c.network):
			t.Errorf("Listen on %s %s: %q names neither", c.network, c.address, err)
		case strings.Contains(err.Error(), "\n"):
			t.Errorf("Listen on %s %s: more than one line: %q", c.network, c.address, err)
		}
	}
	if _, err := v.engine.Listen("tcp", inUse, newEcho()); err == nil || !strings.Contains(err.Error(), inUse) {
		t.Errorf("Listen on a port in use: %v; want an error that names %s", err, inUse)
	}
	err = engine.ListenAndServe(context.Background(), "tcp", inUse, newEcho())
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("ListenAndServe on a port in use: %v, want EADDRINUSE", err)
	}
}

// TestFault51BadOption: the error names the option and its value.
func TestFault51BadOption(t *testing.T) {
	for _, c := range []struct {
		opt           engine.Option
		option, value string
	}{
		{engine.WithMode(7), "mode", "invalid"},
		{engine.WithLoops(0), "loops", "0"},
		{engine.WithLoops(257), "loops", "257"},
		{engine.WithPlacement(9), "placement", "9"},
		{engine.WithSpin(-1), "spin", "-1ns"},
		{engine.WithSpin(time.Second), "spin", "1s"},
		{engine.WithKeepAlive(time.Millisecond), "keep-alive", "1ms"},
		{engine.WithUserTimeout(-time.Second), "user timeout", "-1s"},
		{engine.WithReadBudget(0), "read budget", "0"},
		{engine.WithMailbox(0), "mailbox", "0"},
		{engine.WithOutbound(10, 5, 20), "outbound", "[10 5 20]"},
		{engine.WithOutbound(-1, 5, 20), "outbound", "[-1 5 20]"},
		{engine.WithOutbound(1, 5, 4), "outbound", "[1 5 4]"},
		{engine.WithOutboundTotal(0), "outbound total", "0"},
		{engine.WithIdleBuffers(-1), "idle buffers", "-1"},
		{engine.WithFirstMessageTimeout(time.Nanosecond), "first message timeout", "1ns"},
		{engine.WithIdleTimeout(-time.Second), "idle timeout", "-1s"},
		{engine.WithStallTimeout(time.Millisecond), "stall timeout", "1ms"},
		{engine.WithLinger(0), "linger", "0s"},
		{engine.WithLifetime(-1), "lifetime", "-1ns"},
		{engine.WithDrainTimeout(0), "drain timeout", "0s"},
		{engine.WithDrainSpread(time.Millisecond), "drain spread", "1ms"},
		{engine.WithWatchdog(time.Millisecond), "watchdog", "1ms"},
		{engine.WithLogger(nil), "logger", "<nil>"},
	} {
		e, err := engine.New(c.opt)
		var bad *engine.OptionError
		if !errors.As(err, &bad) {
			t.Errorf("option %s with %s: %v, want an OptionError", c.option, c.value, err)
			if e != nil {
				e.Close()
			}
			continue
		}
		if bad.Option != c.option || fmt.Sprint(bad.Value) != c.value ||
			!strings.Contains(err.Error(), c.option) || !strings.Contains(err.Error(), c.value) {
			t.Errorf("error %q; want it to name option %s and value %s", err, c.option, c.value)
		}
	}
	v := launch(t)
	var bad *engine.OptionError
	if _, err := v.engine.Listen("tcp", "127.0.0.1:0", nil); !errors.As(err, &bad) {
		t.Errorf("Listen without a handler: %v, want an OptionError", err)
	}
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestFault58ControlBytesInLogs: what a peer sends cannot forge lines or move a
// terminal's cursor, whichever logger writes it.
func TestFault58ControlBytesInLogs(t *testing.T) {
	const evil = "\x1b[2J\r\n{\"level\":\"error\"}\n\x00\x7f\u009b31m end"
	for name, logger := range map[string]func(io.Writer) engine.Logger{
		"zerolog": func(w io.Writer) engine.Logger { return engine.NewZerolog(w, engine.Debug) },
		"slog": func(w io.Writer) engine.Logger {
			return engine.Slog(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out lockedBuffer
			p := newProbe()
			p.onMessage = func(s *session.Session, f session.Frame) {
				if loopOf(s, 1)%2 == 0 { // the first session's place is 0
					panic(string(f.Bytes()))
				}
				_ = s.CloseWith(fmt.Errorf("bad verb %s", f.Bytes()))
			}
			v := serve(t, "tcp4", p, engine.WithLoops(1), engine.WithLogger(logger(&out)))
			first, _ := v.open()
			second, _ := v.open()
			for _, c := range []stream{first, second} {
				_, err := io.WriteString(c, evil)
				must(t, err)
				mustEnd(t, c)
				c.Close()
				await(t, "OnClose", p.closed)
			}
			v.shutdown()
			text := out.String()
			if strings.Count(text, "31m end") < 3 { // panic, its close, the other close
				t.Errorf("the peer's bytes are not in the log:\n%q", text)
			}
			for i, r := range text {
				if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) {
					t.Fatalf("control character %#x at byte %d of the log: %q", r, i, text[max(0, i-60):min(len(text), i+20)])
				}
			}
			for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
				if !strings.Contains(line, "time") {
					t.Errorf("a line that the logger did not write: %q", line)
				}
			}
		})
	}
}
