package engine

import (
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
)

// Above the limit connections are reset at once; a session that closes makes room.
func TestMaxSessions(t *testing.T) {
	log := &recorder{least: Warn}
	st := newStage(t, WithMaxSessions(2), WithLogger(log))
	st.accepting(silent)
	resets := 0
	st.sockets.closing = func(fd int) {
		if st.sockets.at(fd).linger == 0 {
			resets++
		}
	}
	arrive := func(n int) {
		for _, a := range st.loop.acceptors {
			a.readable = true
		}
		st.sockets.accepts = slices.Repeat([]syscall.Errno{0}, n)
		for len(st.sockets.accepts) > 0 {
			st.loop.turn()
		}
		st.loop.turn()
	}
	arrive(500)
	got := st.engine.Stats()
	if st.engine.Count() != 2 || got.Opened != 2 || got.Accepted != 500 || got.Refused != 498 || got.RefusedFull != 498 || resets != 498 {
		t.Errorf("%d sessions, %d opened of %d, %d refused, %d as full, %d reset", st.engine.Count(), got.Opened, got.Accepted, got.Refused, got.RefusedFull, resets)
	}
	if !st.poller.parked {
		t.Error("the loop does not sleep afterwards")
	}
	for c := range st.conns() {
		_ = c.session.Load().Abort()
		break
	}
	st.loop.turn()
	arrive(2)
	if got := st.engine.Stats(); st.engine.Count() != 2 || got.Opened != 3 || got.RefusedFull != 499 {
		t.Errorf("after a close: %d sessions, %d opened, %d refused as full", st.engine.Count(), got.Opened, got.RefusedFull)
	}
	settled(t, st.engine.log.ring)
	if len(log.lines) != 1 || log.names[0] != "accept_error" || log.lines[0]["what"] != "full" ||
		log.lines[0]["cause"] != "there are 2 sessions, the most allowed" {
		t.Errorf("499 refused in one second make %v of %v, want one line", log.names, log.lines)
	}
}

// A flood of connections above the limit is taken in batches, between which
// sessions are read.
func TestRefusingStarvesNobody(t *testing.T) {
	heard := 0
	w := &watcher{}
	st := newStage(t, WithMaxSessions(1))
	st.accepting(silent)
	c := st.connect(w)
	st.sockets.accepts = make([]syscall.Errno, 10*acceptBatch)
	for range 5 {
		st.sockets.of(c).input = []byte("x")
		st.tell(c, poller.Readable)
		before := st.engine.Stats().BytesIn
		st.loop.turn()
		if st.engine.Stats().BytesIn == before+1 {
			heard++
		}
	}
	if left := len(st.sockets.accepts); heard != 5 || left != 5*acceptBatch {
		t.Errorf("in 5 turns %d messages were read and %d connections taken, want 5 and %d", heard, 10*acceptBatch-left, 5*acceptBatch)
	}
}

// A place is given back also when the connection comes to nothing after it was
// reserved.
func TestFailedConnectionsLeaveTheirPlace(t *testing.T) {
	st := newStage(t, WithMaxSessions(3), WithMaxPerAddress(3))
	peer := netip.MustParseAddrPort("192.0.2.1:1")
	st.loop.slots.used = placeMask + 1 // there is no slot
	if err := st.loop.adopt(connection{peer: peer}, st.loop); err == nil {
		t.Fatal("a connection got a slot that does not exist")
	}
	st.loop.slots.used = 0
	if n, m := st.engine.admission.inside.Load(), len(st.engine.admission.from); n != 0 || m != 0 {
		t.Errorf("%d places and %d addresses are taken by nobody", n, m)
	}
}

func TestMaxPerAddress(t *testing.T) {
	st := newStage(t, WithMaxPerAddress(2))
	enter := func(text string) bool {
		var peer netip.Addr
		if text != "" {
			peer = netip.MustParseAddr(text)
		}
		return st.engine.admission.enter(peer) == nil
	}
	leave := func(text string) { st.engine.admission.leave(netip.MustParseAddr(text)) }
	for i, c := range []struct {
		peer string
		want bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false},
		{"192.0.2.2", true}, {"::ffff:192.0.2.2", true}, {"192.0.2.2", false},
		{"2001:db8:0:1::1", true}, {"2001:db8:0:1:ffff::2", true}, {"2001:db8:0:1::3", false}, {"2001:db8:0:2::1", true},
		{"fe80::1%eth0", true}, {"fe80::2%eth1", true}, {"fe80::3", false},
		{"", true}, {"", true}, {"", true}, // unix sockets
	} {
		if got := enter(c.peer); got != c.want {
			t.Errorf("%d: %s may enter: %v, want %v", i, c.peer, got, c.want)
		}
	}
	leave("192.0.2.1")
	if !enter("192.0.2.1") || enter("192.0.2.1") {
		t.Error("who leaves does not make room for one")
	}
	for range 2 {
		leave("192.0.2.1")
		leave("192.0.2.2")
		leave("2001:db8:0:1::9")
		leave("fe80::4")
	}
	leave("2001:db8:0:2::1")
	if n := len(st.engine.admission.from); n != 0 {
		t.Errorf("%d addresses are remembered, and nobody is there", n)
	}
}

func TestMaxPerAddressOfConnections(t *testing.T) {
	st := newStage(t, WithMaxPerAddress(3))
	st.accepting(silent)
	st.sockets.accepts = make([]syscall.Errno, 10) // all from one address
	st.loop.turn()
	if got := st.engine.Stats(); got.Sessions != 3 || got.Refused != 7 || got.RefusedCrowded != 7 || got.RefusedFull != 0 {
		t.Errorf("%d sessions, %d refused, %d as crowded, %d as full", got.Sessions, got.Refused, got.RefusedCrowded, got.RefusedFull)
	}
	for c := range st.conns() {
		_ = c.session.Load().Abort()
	}
	st.loop.turn()
	st.loop.turn()
	if n := len(st.engine.admission.from); n != 0 {
		t.Errorf("%d addresses are remembered after the last close", n)
	}
}

// Many who enter and leave at once are never more than allowed, and whoever has left
// makes room.
func TestAdmissionUnderContention(t *testing.T) {
	const most, each, goroutines = 3, 2, 4
	a := admission{limits: entryLimits{sessions: most, perAddress: each}}
	peers := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			peer := peers[i%2]
			for range 10_000 {
				if a.enter(peer) != nil {
					continue
				}
				if n := a.inside.Load(); n > most {
					t.Errorf("%d are inside, %d may be", n, most)
				}
				a.leave(peer)
			}
		})
	}
	all.Wait()
	if a.inside.Load() != 0 || len(a.from) != 0 {
		t.Errorf("%d and %d are inside after all have left", a.inside.Load(), len(a.from))
	}
}

// Connections are taken at the rate; meanwhile the loop sleeps, and nobody is
// refused.
func TestAcceptRate(t *testing.T) {
	st := newStage(t, WithAcceptRate(100, 5))
	a := st.accepting(silent)
	st.sockets.accepts = make([]syscall.Errno, 1000)
	st.loop.turn()
	if got := st.engine.Stats(); got.Accepted != 5 || got.AcceptWaits != 1 {
		t.Fatalf("%d are accepted at once, %d waits; want 5 and 1", got.Accepted, got.AcceptWaits)
	}
	turns := st.engine.Stats().Turns
	st.pass(2 * time.Second)
	got := st.engine.Stats()
	if got.Accepted != 205 || got.Refused != 0 || got.AcceptErrors != 0 || got.AcceptPauses != 0 {
		t.Errorf("%d are accepted after two seconds of 100 and a burst of 5; %d refused, %d errors, %d pauses",
			got.Accepted, got.Refused, got.AcceptErrors, got.AcceptPauses)
	}
	if n := got.Turns - turns; n > 4*200 {
		t.Errorf("%d turns for 200 connections: the loop spins", n)
	}
	st.sockets.accepts = nil
	st.pass(time.Second)
	if a.readable || !a.retryAt.IsZero() || st.engine.pausedAcceptors.Load() != 0 {
		t.Errorf("the acceptor does not rest when nobody is left: %+v", a)
	}
	st.sockets.accepts = make([]syscall.Errno, 5)
	a.readable = true
	st.loop.turn()
	if got := st.engine.Stats().Accepted - got.Accepted; got != 5 {
		t.Errorf("%d of a burst of 5 are accepted at once after a rest", got)
	}
}

// An acceptor that waits for its rate is not one that lacks descriptors: a close does
// not end its wait, and it counts for nothing there.
func TestAcceptRateAndScarcity(t *testing.T) {
	st := newStage(t, WithAcceptRate(100, 1))
	a := st.accepting(silent)
	c := st.connect(silent)
	st.sockets.accepts = []syscall.Errno{0, 0}
	st.loop.turn()
	if a.retryAt.IsZero() || st.engine.pausedAcceptors.Load() != 0 {
		t.Fatal("does not wait for its rate")
	}
	_ = c.session.Load().Abort()
	st.pass(5 * time.Millisecond)
	if got := st.engine.Stats().Accepted; got != 1 {
		t.Errorf("%d accepted, want 1: a close ended the wait", got)
	}
	st.sockets.accepts = []syscall.Errno{syscall.EMFILE, 0, syscall.EMFILE, 0}
	st.pass(200 * time.Millisecond)
	if got := st.engine.Stats(); got.Accepted != 3 || got.AcceptPauses != 2 || st.engine.pausedAcceptors.Load() != 0 {
		t.Errorf("%d accepted, %d pauses, %d acceptors paused; want 3, 2, 0", got.Accepted, got.AcceptPauses, st.engine.pausedAcceptors.Load())
	}
}

// Connections that were reset while they waited have not been taken: they do not count for the
// rate.
func TestAcceptRateOfSkipped(t *testing.T) {
	st := newStage(t, WithAcceptRate(1, 2))
	st.accepting(silent)
	st.sockets.accepts = []syscall.Errno{syscall.ECONNABORTED, syscall.ECONNABORTED, 0, 0}
	st.loop.turn()
	if got := st.engine.Stats(); got.Accepted != 2 {
		t.Errorf("%d accepted of a burst of 2, %d were skipped", got.Accepted, got.AcceptErrors)
	}
}
