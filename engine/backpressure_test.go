package engine_test

import (
	"crypto/sha256"
	"errors"
	"hash"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// Backpressure from end to end: a handler that is behind slows down who sends to it.

// smallInput gives accepted connections a receive buffer of 64 KiB, so that little is
// under way between a sender and a strand.
type smallInput struct{ sock.System }

func (b smallInput) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	conn, peer, errno := b.System.Accept(fd)
	if errno == 0 {
		_ = b.SetOption(conn, sock.RecvBuffer, 64<<10) // without it more is taken, which the test would see
	}
	return conn, peer, errno
}

func withSmallInput() engine.Option {
	return engine.WithDeps(inject.Deps{Sockets: smallInput{sock.Kernel()}})
}

// slowReader is a handler whose first call does not return before the gate is open,
// and which sums up what it is given.
type slowReader struct {
	*probe
	gate  *gate
	got   counter // the handler's until the session has closed
	total atomic.Int64
}

func newSlowReader() *slowReader {
	r := &slowReader{probe: newProbe(), gate: newGate(), got: counter{to: sha256.New()}}
	r.onMessage = func(_ *session.Session, f session.Frame) {
		if r.got.n == 0 {
			r.gate.pass()
		}
		_, _ = r.got.Write(f.Bytes()) // a hash has no errors
		r.total.Store(r.got.n)
	}
	return r
}

// writeUntilBlocked writes data until the kernel takes no more of it, and returns how
// much it took.
func writeUntilBlocked(t *testing.T, c net.Conn, data []byte, full func() bool) (taken int) {
	t.Helper()
	defer c.SetWriteDeadline(time.Now().Add(2 * patience))
	for deadline := time.Now().Add(patience); ; {
		must(t, c.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		n, err := c.Write(data[taken:])
		taken += n
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("the write ended with %v after %d of %d bytes; want it to wait", err, taken, len(data))
		case n == 0 && full():
			return taken
		case time.Now().After(deadline):
			t.Fatalf("the writer is not held up, after %d bytes", taken)
		}
	}
}

// TestBackpressureReachesTheSender: a handler blocks, its strand fills, reading stops,
// the window closes, and the peer's writes wait. When the handler goes on, all of it
// arrives, in order.
func TestBackpressureReachesTheSender(t *testing.T) {
	const unread, most = 64 << 10, 1 << 20
	data := patternBytes(1, amount(256<<20, 16<<20, 16<<20))
	r := newSlowReader()
	v := serve(t, "tcp4", r.probe, pool, engine.WithLoops(1), engine.WithUnread(unread), withSmallInput())
	c, opened := v.open()
	must(t, c.(*net.TCPConn).SetWriteBuffer(64<<10))

	n, err := c.Write(data[:1])
	must(t, err)
	await(t, "the handler", r.gate.entered) // which takes from what is unread
	taken := n + writeUntilBlocked(t, c, data[n:], func() bool { return opened.Stats().Unread > unread })
	t.Logf("of %d KiB the peer could write %d KiB, %d of them wait for the handler",
		len(data)>>10, taken>>10, opened.Stats().Unread>>10)
	if taken > most {
		t.Errorf("%d bytes were taken, want at most %d", taken, most)
	}
	before := opened.Stats().BytesIn
	_, other := v.open()
	letTurnsPass(t, other) // the loop goes on, and leaves the session alone
	if now := opened.Stats().BytesIn; now != before {
		t.Errorf("%d bytes were read while the strand was full", now-before)
	}

	close(r.gate.open)
	_, err = c.Write(data[taken:])
	must(t, err)
	must(t, c.CloseWrite())
	v.awaitClose(session.ReasonPeerClosed)
	sent := sha256.New()
	sent.Write(data)
	must(t, sameSum(r.got.n, int64(len(data)), r.got.to.(hash.Hash), sent))
}

// TestIdleClockStandsStillBehindAHandler: reading is paused because the handler is
// behind. Others are closed as idle meanwhile, the session is not, and its clock runs
// again afterwards.
func TestIdleClockStandsStillBehindAHandler(t *testing.T) {
	const unread, idle = 64 << 10, 250 * time.Millisecond
	data := patternBytes(1, 16<<20)
	r := newSlowReader()
	clock := newLateClock()
	v := serve(t, "tcp4", r.probe, pool, engine.WithLoops(1), engine.WithUnread(unread),
		engine.WithIdleTimeout(idle), engine.WithDeps(inject.Deps{Sockets: smallInput{sock.Kernel()}, Clock: clock}))
	c, opened := v.open()
	must(t, c.(*net.TCPConn).SetWriteBuffer(64<<10))
	n, err := c.Write(data[:1])
	must(t, err)
	await(t, "the handler", r.gate.entered)
	clock.start() // until now it would have been idle
	taken := n + writeUntilBlocked(t, c, data[n:], func() bool { return opened.Stats().Unread > unread })
	for range 2 { // each is there for an idle time that begins after the stall
		other, _ := v.open()
		mustEnd(t, other)
		must(t, other.Close())
		if closed := await(t, "OnClose", r.closed); closed.session == opened || closed.reason.Reason != session.ReasonIdle {
			t.Fatalf("closed because of %v; want the other session, as idle", closed.reason)
		}
	}
	if state := opened.State(); state != session.Open {
		t.Fatalf("%v while its handler is behind", state)
	}
	close(r.gate.open)
	until(t, "everything handled", func() bool { return r.total.Load() == int64(taken) })
	mustEnd(t, c)
	must(t, c.Close())
	if closed := await(t, "OnClose", r.closed); closed.session != opened || closed.reason.Reason != session.ReasonIdle {
		t.Errorf("closed because of %v, want it as idle", closed.reason)
	}
}
