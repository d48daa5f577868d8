package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// How sessions end, and what both sides are told.

// mustReset wants the connection to end with RST. Unix sockets have none.
func mustReset(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	if _, ok := c.(*net.UnixConn); ok && err == nil {
		return
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer got %v, want ECONNRESET", err)
	}
}

// stopped is a clock that tells the same time for ever.
type stopped time.Time

func (s stopped) Now() time.Time { return time.Time(s) }

// timeless has no time pass, which would allow a peer to send more. No deadline comes, also
// not by the system's clock: the time is later than any test ends.
var timeless = engine.WithDeps(inject.Deps{Clock: stopped(time.Now().Add(24 * time.Hour))})

// lateClock stands still until it is started, so that no deadline comes before what the test
// does first.
type lateClock struct {
	began   time.Time
	started atomic.Pointer[time.Time]
}

func newLateClock() *lateClock { return &lateClock{began: time.Now()} }

// start does nothing when called again.
func (c *lateClock) start() {
	now := time.Now()
	c.started.CompareAndSwap(nil, &now)
}

func (c *lateClock) Now() time.Time {
	if started := c.started.Load(); started != nil {
		return c.began.Add(time.Since(*started))
	}
	return c.began
}

// sendTooMuch sends three bytes that come back, and one that does not.
func sendTooMuch(t *testing.T, _ *server, c stream, _ *session.Session) {
	for range 3 {
		mustEcho(t, c, "x")
	}
	_, err := io.WriteString(c, "x")
	must(t, err)
	mustEnd(t, c)
}

// TestEveryReasonHasAnEnding: whoever adds a reason shows how a peer meets it.
func TestEveryReasonHasAnEnding(t *testing.T) {
	elsewhere := map[session.Reason]string{
		session.ReasonMemory:   "TestMemoryLadder: it takes a memory that the test fills",
		session.ReasonOverload: "TestRejectClosesWhatFindsNoWorker: only mode pool has an executor",
	}
	for _, e := range endings {
		elsewhere[e.reason] = "endings"
	}
	for r := session.ReasonPeerClosed; int(r) < session.Reasons; r++ {
		if elsewhere[r] == "" {
			t.Errorf("no peer meets %v in any test", r)
		}
	}
}

// endings are ways to end a session, each by a real peer or a real deadline.
var endings = []struct {
	reason session.Reason
	opts   []engine.Option
	act    func(t *testing.T, v *server, c stream, s *session.Session)
}{
	{session.ReasonPeerClosed, nil, func(t *testing.T, v *server, c stream, s *session.Session) {
		must(t, c.Close())
	}},
	{session.ReasonPeerReset, nil, func(t *testing.T, v *server, c stream, s *session.Session) {
		must(t, s.Send([]byte("xy")))
		mustRead(t, c, "x") // and leaves a byte unread
		reset(t, c)
	}},
	{session.ReasonLocalClose, nil, func(t *testing.T, v *server, c stream, s *session.Session) {
		must(t, s.Close())
		mustEnd(t, c)
	}},
	{session.ReasonAborted, nil, func(t *testing.T, v *server, c stream, s *session.Session) {
		must(t, s.Abort())
		mustReset(t, c)
	}},
	{session.ReasonIdle, []engine.Option{engine.WithIdleTimeout(20 * time.Millisecond)},
		func(t *testing.T, v *server, c stream, s *session.Session) {
			mustEcho(t, c, "x") // no time passes before that
			mustEnd(t, c)
		}},
	{session.ReasonFirstMessage, []engine.Option{engine.WithFirstMessageTimeout(20 * time.Millisecond)},
		func(t *testing.T, v *server, c stream, s *session.Session) { mustEnd(t, c) }},
	{session.ReasonLifetime, []engine.Option{engine.WithLifetime(50 * time.Millisecond)},
		func(t *testing.T, v *server, c stream, s *session.Session) { mustEnd(t, c) }},
	{session.ReasonSlowConsumer, []engine.Option{engine.WithStallTimeout(50 * time.Millisecond)},
		func(t *testing.T, v *server, c stream, s *session.Session) {
			must(t, s.SendOwned(make([]byte, 16<<20), nil)) // more than any kernel takes
		}},
	{session.ReasonProtocolError, nil, func(t *testing.T, v *server, c stream, s *session.Session) {
		must(t, s.CloseWith(fmt.Errorf("no such verb: %w", session.ReasonProtocolError)))
		mustEnd(t, c)
	}},
	{session.ReasonFrameTimeout, []engine.Option{engine.WithFrameTimeout(20 * time.Millisecond)},
		func(t *testing.T, v *server, c stream, s *session.Session) {
			s.SetCodec(frame.Default())
			_, err := c.Write([]byte{0, 0})
			must(t, err)
			mustEnd(t, c)
		}},
	{session.ReasonHeartbeat, []engine.Option{engine.WithHeartbeat(20*time.Millisecond, 2)},
		func(t *testing.T, v *server, c stream, s *session.Session) {
			s.SetHandler(pinging{v.probe})
			mustRead(t, c, "?")
			mustReset(t, c)
		}},
	{session.ReasonHandlerPanic, nil, func(t *testing.T, v *server, c stream, s *session.Session) {
		_, err := io.WriteString(c, "panic")
		must(t, err)
		mustEnd(t, c)
	}},
	{session.ReasonOverLimit, []engine.Option{engine.WithMessageRate(1, 3), timeless}, sendTooMuch},
	{session.ReasonOverLimit, []engine.Option{engine.WithByteRate(1, 3), timeless}, sendTooMuch},
	{session.ReasonIOError, // of the kernel's, that no peer nearby can cause
		[]engine.Option{engine.WithDeps(inject.Deps{Sockets: failingRecv{sock.Kernel(), syscall.EHOSTUNREACH}})},
		func(t *testing.T, v *server, c stream, s *session.Session) {
			_, err := io.WriteString(c, "x")
			must(t, err)
			_ = c.CloseWrite() // unless it is closed already
			mustReset(t, c)
		}},
	{session.ReasonShutdown, nil, func(t *testing.T, v *server, c stream, s *session.Session) {
		v.engine.Stop()
		mustEnd(t, c)
	}},
}

func everyReason(t *testing.T, s setting) {
	for _, e := range endings {
		t.Run(e.reason.String(), func(t *testing.T) {
			p, clock, opts := newProbe(), newLateClock(), slices.Clone(e.opts)
			p.onMessage = func(s *session.Session, f session.Frame) {
				defer clock.start()
				if string(f.Bytes()) == "panic" {
					panic("as asked")
				}
				_ = s.Send(f.Bytes())
			}
			if e.reason == session.ReasonIdle {
				opts = append(opts, engine.WithDeps(inject.Deps{Clock: clock}))
			}
			v := s.serve(t, p, opts...)
			c, opened := v.open()
			ctx := opened.Context()
			e.act(t, v, c, opened)
			if e.reason != session.ReasonSlowConsumer {
				c.Close()
			}
			reason := v.awaitClose(e.reason)
			mustBeClosedFor(t, opened, reason)
			<-ctx.Done()
			if context.Cause(ctx) != error(reason) {
				t.Errorf("the context's cause is %v, want what OnClose got", context.Cause(ctx))
			}
			until(t, "counted", func() bool { return v.engine.Stats().Closed[e.reason.String()] == 1 })
			until(t, "remembered", func() bool { return len(v.engine.RecentlyClosed()) == 1 })
			if got := v.engine.RecentlyClosed()[0]; got.ID != opened.ID() || got.Reason != e.reason || got.Unsent != reason.Unsent {
				t.Errorf("remembered as %+v", got)
			}
		})
	}
}

// mustBeClosedFor checks what a closed session answers.
func mustBeClosedFor(t *testing.T, s *session.Session, reason *session.CloseError) {
	t.Helper()
	if s.State() != session.Closed {
		t.Errorf("State is %v, want closed", s.State())
	}
	for call, err := range map[string]error{
		"Send":         s.Send([]byte("x")),
		"SendOwned":    s.SendOwned([]byte("x"), func() { t.Error("released what was refused") }),
		"SendAndClose": s.SendAndClose([]byte("x"), nil),
		"Flush":        s.Flush(),
		"Post":         s.Post(func() { t.Error("ran a task of a closed session") }),
		"Close":        s.Close(),
		"CloseWrite":   s.CloseWrite(),
		"Abort":        s.Abort(),
	} {
		if !errors.Is(err, session.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s on a closed session: %v, want ErrClosed", call, err)
		}
	}
	s.PauseRead() // harmless
	s.ResumeRead()
	if reason.Reason == session.ReasonSlowConsumer && reason.Unsent == 0 {
		t.Error("a slow consumer has nothing unsent")
	}
}

func closeInHandler(t *testing.T, s setting) {
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		check(t, s.Send([]byte("bye")))
		check(t, s.Close())
		for call, err := range map[string]error{"Close": s.Close(), "Send": s.Send(f.Bytes())} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v, want net.ErrClosed", call, err)
			}
		}
	}
	v := s.serve(t, p)
	c := v.dial()
	_, err := io.WriteString(c, "x")
	must(t, err)
	mustRead(t, c, "bye")
	mustEnd(t, c)
	c.Close()
	v.awaitClose(session.ReasonLocalClose)
}

func closeWriteReads(t *testing.T, s setting) {
	p := newProbe()
	texts := make(chan string, 16)
	p.onMessage = func(s *session.Session, f session.Frame) {
		texts <- string(f.Bytes())
		if string(f.Bytes()) == "finish" {
			check(t, s.Send([]byte("last")))
			check(t, s.CloseWrite())
			if err := s.Send(nil); !errors.Is(err, session.ErrClosed) {
				t.Errorf("Send after CloseWrite: %v, want ErrClosed", err)
			}
		}
	}
	v := s.serve(t, p)
	c := v.dial()
	for _, text := range []string{"finish", "one", "two"} {
		_, err := io.WriteString(c, text)
		must(t, err)
		if got := await(t, "message", texts); got != text {
			t.Fatalf("got message %q, want %q", got, text)
		}
		if text == "finish" {
			mustRead(t, c, "last")
			mustEnd(t, c)
		}
	}
	c.Close()
	v.awaitClose(session.ReasonPeerClosed)
}

func closeWritesQueue(t *testing.T, s setting) {
	data := patternBytes(1, 3<<20)
	p := newProbe()
	p.onOpen = func(s *session.Session) {
		check(t, s.Send(data))
		check(t, s.Close())
	}
	v := s.serve(t, p)
	c := v.dial()
	_, err := io.WriteString(c, "never read") // must not turn FIN into RST
	must(t, err)
	got, err := io.ReadAll(c)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Fatalf("the peer got %d bytes of %d, or others", len(got), len(data))
	}
	c.Close()
	if reason := v.awaitClose(session.ReasonLocalClose); reason.Unsent != 0 {
		t.Errorf("%d bytes unsent, want 0", reason.Unsent)
	}
}

// closeFromAnywhere closes sessions from several goroutines while others write.
func closeFromAnywhere(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	for round := range amount(100, 20, 5) {
		c, opened := v.open()
		var all sync.WaitGroup
		accepted := make(chan error, 8)
		start := make(chan struct{})
		for i := range 8 {
			all.Go(func() {
				<-start
				for opened.Send(patternBytes(1, 1000)) == nil {
				}
			})
			all.Go(func() {
				<-start
				switch {
				case round%2 == 1 && i == 0:
					accepted <- opened.Abort()
				default:
					accepted <- opened.Close()
				}
			})
		}
		close(start)
		_, _ = io.Copy(io.Discard, c) // until it is closed, or reset
		c.Close()
		all.Wait()
		close(accepted)
		nils := 0
		for err := range accepted {
			switch {
			case err == nil:
				nils++
			case !errors.Is(err, net.ErrClosed):
				t.Errorf("Close: %v, want nil or net.ErrClosed", err)
			}
		}
		if nils < 1 || nils > 2 { // Abort cuts short what Close began
			t.Errorf("%d of 8 calls took effect", nils)
		}
		await(t, "OnClose", v.probe.closed)
	}
}
