package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// Faults of the kernel at accept and poll.

var scarcities = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

// TestFault02ScarcityAtAccept: accepting pauses, longer each time, and goes on.
func TestFault02ScarcityAtAccept(t *testing.T) {
	for _, errno := range scarcities {
		t.Run(errno.Error(), func(t *testing.T) {
			var script acceptScript
			v := serve(t, "tcp4", newProbe(), withAccept(&script))
			healthy := v.dial()
			mustEcho(t, healthy, "x")
			until(t, "accepts at rest", func() bool { return v.engine.Stats().Sessions == 1 })

			began := time.Now()  // an acceptor that was not at rest yet begins at once
			script.add(errno, 5) // 10, 20, 40, 80 and 160 ms
			c := v.dial()
			mustEcho(t, healthy, "unhurt")
			mustEcho(t, c, "accepted in the end")
			if took := time.Since(began); took < 150*time.Millisecond {
				t.Errorf("five pauses took %v, want 310 ms", took)
			}
			st := v.engine.Stats()
			if st.AcceptPauses != 5 || st.AcceptErrors != 5 || st.Refused != 0 {
				t.Errorf("%d pauses, %d errors, %d refused; want 5, 5, 0", st.AcceptPauses, st.AcceptErrors, st.Refused)
			}
		})
	}
}

// frozen is a clock that stands still.
type frozen struct{ at time.Time }

func (f frozen) Now() time.Time { return f.at }

// TestFault02CloseResumesAccept: the close of a session frees a descriptor, so
// that accepting goes on at once. The clock stands still: no pause ends itself.
func TestFault02CloseResumesAccept(t *testing.T) {
	var script acceptScript
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), engine.WithDeps(inject.Deps{
		Sockets: failingAccept{sock.Kernel(), &script}, Clock: frozen{time.Now()},
	}))
	old, _ := v.open()
	until(t, "accepts at rest", func() bool { return v.engine.Stats().Sessions == 1 })
	script.add(syscall.EMFILE, 1)
	c := v.dial()
	until(t, "paused", func() bool { return v.engine.Stats().AcceptPauses == 1 })
	if n := v.engine.Stats().Accepted; n != 1 {
		t.Fatalf("%d connections are accepted during the pause, want 1", n)
	}
	old.Close()
	mustEcho(t, c, "at once")
}

// TestFault03ConnectionFailsAtAccept: the next one is taken at once.
func TestFault03ConnectionFailsAtAccept(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ECONNABORTED, syscall.EINTR, syscall.EPERM, syscall.EPROTO} {
		t.Run(errno.Error(), func(t *testing.T) {
			var script acceptScript
			v := serve(t, "tcp4", newProbe(), withAccept(&script))
			for range 10 {
				script.add(errno, 100) // more than one batch of accepts
				mustEcho(t, v.dial(), "x")
			}
			st := v.engine.Stats()
			if want := uint64(1000 - script.left()); st.AcceptErrors != want || st.AcceptPauses != 0 {
				t.Errorf("%d errors, %d pauses; want %d, 0", st.AcceptErrors, st.AcceptPauses, want)
			}
			if script.left() > 100 {
				t.Errorf("%d faults were never met", script.left())
			}
		})
	}
}

// TestFault04InterruptedPoll has polls end for nothing, as a signal does, while
// signals rain on the process; no wake-up may be lost.
func TestFault04InterruptedPoll(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), withPoller(func(m *meddler) {
		turn := 0
		m.onPark = func(deadline time.Time) (time.Time, bool) {
			turn++
			return deadline, turn%3 != 0
		}
	}))
	done := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				check(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
				select {
				case <-signals:
				case <-done:
				}
			}
		}
	})
	defer storm.Wait()
	defer close(done)
	c, opened := v.open()
	for range amount(20_000, 2000, 300) {
		mustEcho(t, c, "ping")
		pushed := make(chan error, 1)
		go func() { pushed <- opened.Send([]byte("push")) }() // wakes the loop
		mustRead(t, c, "push")
		must(t, <-pushed)
		posted := make(chan struct{})
		must(t, opened.Post(func() { close(posted) }))
		await(t, "task", posted)
	}
}

// TestFault05ShortWrites is the scatter-gather scenario with all senders, over
// send buffers of 4 KiB on TCP and unix sockets.
func TestFault05ShortWrites(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			s := setting{network: network, opts: []engine.Option{engine.WithLoops(2)}}
			t.Run("segments", func(t *testing.T) { scatteredSegments(t, s) })
			t.Run("echo", func(t *testing.T) {
				v := serve(t, network, newProbe(), engine.WithDeps(inject.Deps{Sockets: tinyBuffers{sock.Kernel()}}))
				mustEchoMany(t, v, 8, amount[int64](4<<20, 512<<10, 128<<10))
			})
		})
	}
}

// TestFault06RegistrationFails: that connection is refused, the next one is not.
func TestFault06RegistrationFails(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOMEM, syscall.ENOSPC} {
		t.Run(errno.Error(), func(t *testing.T) {
			var mu sync.Mutex
			failing := false
			v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), withPoller(func(m *meddler) {
				m.onAdd = func(int) error {
					mu.Lock()
					defer mu.Unlock()
					if failing {
						return os.NewSyscallError("epoll_ctl", errno)
					}
					return nil
				}
			}))
			fail := func(on bool) { mu.Lock(); failing = on; mu.Unlock() }
			healthy, _ := v.open()
			fail(true)
			for range 10 {
				mustBeRefused(t, v.listener.Addr())
			}
			_, err := v.engine.Listen("tcp", "127.0.0.1:0", v.probe)
			if err == nil {
				t.Error("Listen succeeded without a registration")
			}
			fail(false)
			mustEcho(t, healthy, "unhurt")
			mustEcho(t, v.dial(), "accepted")
			if st := v.engine.Stats(); st.Refused != 10 || st.Opened != 2 || st.Sessions != 2 {
				t.Errorf("%d refused, %d opened, %d there; want 10, 2, 2", st.Refused, st.Opened, st.Sessions)
			}
		})
	}
}

// mustBeRefused dials, and wants RST at once or when it reads.
func mustBeRefused(t *testing.T, addr net.Addr) {
	t.Helper()
	c, err := net.DialTimeout(addr.Network(), addr.String(), patience)
	if err == nil {
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer got %v, want ECONNRESET", err)
	}
}

// TestFault07StaleEvents replays every event after its connection is gone: the
// next owner of the slot and of the descriptor must not be touched.
func TestFault07StaleEvents(t *testing.T) {
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(1), withPoller(func(m *meddler) {
		seen := make(map[poller.Token]bool)
		m.onPoll = func(events []poller.Event, n int) int {
			for _, e := range events[:n] {
				seen[e.Token] = e.Token >= 1<<24 // sessions only
			}
			for token, replay := range seen {
				if replay && n < len(events) && token>>24 > 0 {
					events[n] = poller.Event{Token: token, Ready: poller.Readable | poller.Writable | poller.ReadClosed}
					n++
				}
			}
			return n
		}
	}))
	for range 50 {
		c, opened := v.open()
		for range 3 {
			mustEcho(t, c, "mine")
		}
		if opened.State() != session.Open {
			t.Fatalf("the session is %v because of others' events", opened.State())
		}
		c.Close()
		v.awaitClose(session.ReasonPeerClosed)
	}
	if st := v.engine.Stats(); st.StaleEvents == 0 {
		t.Error("no stale event was noticed")
	}
}

// TestFault07StaleHangUps replays hang-ups of the dead only.
func TestFault07StaleHangUps(t *testing.T) {
	var mu sync.Mutex
	dead := make(map[poller.Token]bool)
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(1), withPoller(func(m *meddler) {
		m.onPoll = func(events []poller.Event, n int) int {
			mu.Lock()
			defer mu.Unlock()
			for token := range dead {
				if n < len(events) {
					events[n] = poller.Event{Token: token, Ready: poller.Readable | poller.HangUp | poller.Failed}
					n++
				}
			}
			return n
		}
	}))
	for range 50 {
		c, opened := v.open()
		opened.PauseRead() // a paused session is closed by a hang-up
		letTurnsPass(t, opened)
		if opened.State() != session.Open {
			t.Fatalf("the session is %v because of others' events", opened.State())
		}
		opened.ResumeRead()
		mustEcho(t, c, "mine")
		c.Close()
		v.awaitClose(session.ReasonPeerClosed)
		until(t, "gone", func() bool { return v.engine.Stats().Sessions == 0 })
		mu.Lock()
		dead[poller.Token(opened.ID())] = true
		mu.Unlock()
	}
}

// TestFault07WritesReachTheirOwner has goroutines write to sessions that end
// under their hands, while their descriptors are used again. Each session's
// bytes name it; no peer may see another's.
func TestFault07WritesReachTheirOwner(t *testing.T) {
	const writers = 2
	var all sync.WaitGroup
	p := newProbe()
	p.onOpen = func(s *session.Session) {
		own := bytes.Repeat([]byte{byte(s.ID() >> 24), byte(s.ID())}, 500)
		for range writers {
			all.Go(func() {
				for s.Send(own) != session.ErrClosed {
					runtime.Gosched()
				}
			})
		}
	}
	v := serve(t, "tcp4", p, engine.WithLoops(2), engine.WithOutbound(0, 4<<10, 8<<10))
	addr := v.listener.Addr()
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range amount(5000, 200, 30) {
				if err := readOwn(addr, 20_000); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	until(t, "all gone", func() bool { return v.engine.Stats().Sessions == 0 })
	all.Wait()
}

// readOwn reads n bytes of a session and wants them all alike, then resets it.
func readOwn(addr net.Addr, n int) error {
	c, err := net.DialTimeout(addr.Network(), addr.String(), patience)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got[2:], got[:n-2]) {
		return os.NewSyscallError("read bytes of another session", syscall.EBADMSG)
	}
	return c.(*net.TCPConn).SetLinger(0)
}
