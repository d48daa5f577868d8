package engine

import (
	"testing"
	"time"
)

// Sessions go at even intervals, in virtual time: none before its turn, and the others
// live on meanwhile.
func TestDrainSpread(t *testing.T) {
	const conns, spread = 10, time.Second
	const gap = spread / conns
	st := newStage(t, WithDrainSpread(spread), WithLinger(time.Hour))
	var all []*stageSocket
	for range conns {
		all = append(all, st.sockets.of(st.connect(silent)))
	}
	st.pass(time.Second)
	began := st.clock.Now()
	st.engine.Stop()
	st.engine.Stop() // a second one does not begin anew
	for st.clock.Now().Sub(began) < spread+gap {
		st.loop.turn() // notices the time
		st.loop.turn()
		passed := st.clock.Now().Sub(began)
		for i, c := range all {
			if want := passed >= time.Duration(i)*gap; want != (c.finOut > 0) {
				t.Fatalf("after %v session %d of %d has been sent away: %v", passed, i, conns, !want)
			}
		}
		st.clock.set(st.clock.Now().Add(gap / 4))
	}
	if got := st.engine.count(); got != conns {
		t.Errorf("%d sessions wait for their peers, want %d", got, conns)
	}
}

// The turn in which a loop learns that it is to stop may have taken longer than the spread:
// the sessions' turns are counted from when it learns.
func TestDrainSpreadAfterALongTurn(t *testing.T) {
	const conns, spread = 10, time.Second
	st := newStage(t, WithDrainSpread(spread), WithLinger(time.Hour))
	var all []*stageSocket
	for range conns {
		all = append(all, st.sockets.of(st.connect(silent)))
	}
	st.pass(time.Second)
	st.loop.poll()
	st.clock.set(st.clock.Now().Add(10 * spread)) // in a handler
	st.engine.Stop()
	st.loop.takeMail()
	st.loop.turn() // notices the time
	st.loop.turn()
	gone := 0
	for _, c := range all {
		gone += c.finOut
	}
	if gone > 1 {
		t.Errorf("%d of %d sessions have been sent away at once", gone, conns)
	}
}

// The loop wakes when it is a session's turn, and for nothing else.
func TestDrainSpreadWakesInTime(t *testing.T) {
	const conns, spread = 5, time.Second
	st := newStage(t, WithDrainSpread(spread), WithLinger(time.Hour))
	for range conns {
		st.connect(silent)
	}
	st.loop.turn()
	st.engine.Stop()
	st.loop.turn()
	began := st.clock.Now()
	for i := 1; i < conns; i++ {
		st.loop.turn() // notices the time
		st.loop.turn()
		if at := st.poller.deadline.Sub(began); !st.poller.parked || at != time.Duration(i)*spread/conns {
			t.Fatalf("before session %d the loop sleeps until %v, want %v", i, at, time.Duration(i)*spread/conns)
		}
		st.clock.set(st.poller.deadline)
	}
}

// A session that comes while others go, since it was accepted before, goes at once; one
// that has gone by itself leaves its turn empty.
func TestDrainSpreadBesideOthers(t *testing.T) {
	const spread = time.Second
	st := newStage(t, WithDrainSpread(spread), WithLinger(time.Hour))
	first, second, third := st.connect(silent), st.connect(silent), st.connect(silent)
	sockets := []*stageSocket{st.sockets.of(first), st.sockets.of(second), st.sockets.of(third)}
	st.loop.turn()
	st.engine.Stop()
	st.loop.turn()
	late := st.sockets.of(st.connect(silent))
	if err := second.session.Load().Abort(); err != nil {
		t.Fatal(err)
	}
	st.loop.turn()
	if late.finOut != 1 || sockets[2].finOut != 0 {
		t.Errorf("the late one got %d FINs, the last %d; want 1 and 0", late.finOut, sockets[2].finOut)
	}
	st.pass(spread)
	if sockets[1].finOut != 0 || sockets[2].finOut != 1 {
		t.Errorf("the aborted one got %d FINs, the last %d; want 0 and 1", sockets[1].finOut, sockets[2].finOut)
	}
}
