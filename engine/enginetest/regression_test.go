package enginetest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// script is a simulation without chance, of one connection.
type script struct {
	*simulation
	t      *testing.T
	track  *track
	client *peer
}

// scripted runs a history that is written down. Each was found by a seed.
func scripted(t *testing.T, toClient int, play func(*script), opts ...engine.Option) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(1)
		s.janitor = &janitor{sim: s}
		s.high, s.cap = 256<<10, 4<<20
		s.start(append(opts, engine.WithLoops(1), engine.WithLogger(engine.NoLog{}), engine.WithDebugBuffers(),
			engine.WithStallTimeout(stall), engine.WithLinger(linger))...)
		p := &peer{sim: s, addr: s.listen("tcp", "127.0.0.1:0", simHandler{s}), toServer: 1 << 10, toClient: toClient}
		p.track = &track{sim: s, peer: p, meddled: true}
		s.tracks = append(s.tracks, p.track)
		p.connect()
		k := &script{simulation: s, t: t, track: p.track, client: p}
		k.settle()
		play(k)
		if s.failed {
			t.Error(s.report())
		}
		s.tearDown()
	})
}

// settle has the loops run until they all sleep.
func (k *script) settle() {
	for k.step() {
	}
}

// pass lets time pass.
func (k *script) pass(d time.Duration) {
	for end := k.now.Add(d); k.now.Before(end); k.settle() {
		if !k.passTime() {
			return
		}
	}
}

// TestLoopSeesWhatTimersMarked: a loop must not go to sleep when a timer has
// just marked a session for closing. Nothing else may ever wake it.
func TestLoopSeesWhatTimersMarked(t *testing.T) {
	scripted(t, 1<<10, func(k *script) {
		if err := k.track.session.Close(); err != nil {
			k.t.Fatal(err)
		}
		k.settle()
		k.pass(2 * linger)
		if k.track.state != closed {
			k.t.Error("the session lingers for ever")
		}
	})
}

// TestRoomToldBeforeTheLoopListens: another goroutine finds the socket full, and
// room is made at once. The loop is told of the room together with a message,
// before it knows that output waits.
func TestRoomToldBeforeTheLoopListens(t *testing.T) {
	scripted(t, 1<<10, func(k *script) {
		k.faults.again = 1
		_ = k.track.send([]byte("pushed"), "Send", func() error { return k.track.session.Send([]byte("pushed")) })
		k.faults.again = 0
		k.client.total = 10
		k.client.sent = 10
		if n, errno := k.client.socket.send([][]byte{k.track.sends(0, 10)}); n != 10 || errno != 0 {
			k.t.Fatal(n, errno)
		}
		k.settle()
		if got := len(k.client.socket.in); got != len("pushed")+10 {
			k.t.Errorf("%d bytes came back", got)
		}
	})
}

// TestStallAfterLifetime: a session that ends because of its lifetime, and whose
// peer takes nothing, is aborted at the stall deadline.
func TestStallAfterLifetime(t *testing.T) {
	scripted(t, 16, func(k *script) {
		_ = k.track.send(make([]byte, 100), "Send", func() error { return k.track.session.Send(make([]byte, 100)) })
		k.settle()
		k.pass(2*stall + time.Second)
		if k.track.state != closed || k.track.reason.Reason != session.ReasonLifetime {
			k.t.Errorf("after the lifetime and the stall deadline: state %d, %v", k.track.state, k.track.reason)
		}
	}, engine.WithLifetime(time.Second))
}
