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
func scripted(t *testing.T, toClient int, does plan, play func(*script), opts ...engine.Option) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(1, nil)
		s.handler = simHandler{s}
		s.high, s.cap = 256<<10, 4<<20
		s.crew.limit = 1
		s.start(append(opts, engine.WithExecutor(&s.crew), engine.WithLoops(1), engine.WithLogger(engine.NoLog{}), engine.WithDebugBuffers(),
			engine.WithStallTimeout(stall), engine.WithLinger(linger))...)
		p := &peer{sim: s, addr: s.listen("tcp", "127.0.0.1:0", simHandler{s}), toServer: 1 << 10, toClient: toClient}
		p.track = &track{name: "client", sim: s, draws: drawsOf(1, "client"), peer: p, plan: does, meddled: true}
		s.tracks = append(s.tracks, p.track)
		p.connect()
		k := &script{simulation: s, t: t, track: p.track, client: p}
		k.settle()
		defer s.tearDown()
		play(k)
		if s.failed {
			t.Error(s.report())
		}
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

// say has the client send messages, at once.
func (k *script) say(bodies ...[]byte) {
	before := len(k.track.speech.wire)
	for _, body := range bodies {
		wire, err := framed(k.track.plan.codec, body)
		if err != nil {
			k.t.Fatal(err)
		}
		k.track.speech.add(body, wire)
	}
	k.client.total = len(k.track.speech.wire)
	k.client.sent = k.client.total
	if n, errno := k.client.socket.send([][]byte{k.track.speech.wire[before:]}); before+n != k.client.total || errno != 0 {
		k.t.Fatal(n, errno)
	}
	k.settle()
}

// TestLoopSeesWhatTimersMarked: a loop must not go to sleep when a timer has
// just marked a session for closing. Nothing else may ever wake it.
func TestLoopSeesWhatTimersMarked(t *testing.T) {
	scripted(t, 1<<10, plan{}, func(k *script) {
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
	scripted(t, 1<<10, plan{}, func(k *script) {
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
	scripted(t, 16, plan{}, func(k *script) {
		k.deadlines.lifetime = time.Second
		_ = k.track.send(make([]byte, 100), "Send", func() error { return k.track.session.Send(make([]byte, 100)) })
		k.settle()
		k.pass(2*stall + time.Second)
		if k.track.state != closed || k.track.reason.Reason != session.ReasonLifetime {
			k.t.Errorf("after the lifetime and the stall deadline: state %d, %v", k.track.state, k.track.reason)
		}
	}, engine.WithLifetime(time.Second))
}

// TestStallBehindLifetime: messages wait because the peer takes no output; then the
// lifetime is over, which waits for those messages. The stall deadline must count all
// the same, and the loop must not look at the lifetime again and again.
func TestStallBehindLifetime(t *testing.T) {
	scripted(t, 16, plan{codec: 1}, func(k *script) {
		k.say(make([]byte, 100), make([]byte, 100))
		if k.track.messages != 1 {
			k.t.Fatalf("%d messages, one should wait", k.track.messages)
		}
		k.pass(2 * time.Second)
		turns := k.engine.Stats().Turns
		k.pass(stall)
		if k.track.state != closed {
			k.t.Errorf("state %d after the stall deadline", k.track.state)
		}
		if more := k.engine.Stats().Turns - turns; more > 10 {
			k.t.Errorf("%d turns meanwhile", more)
		}
	}, engine.WithLifetime(time.Second), engine.WithOutbound(10, 20, 1<<20))
}

// TestGatheringStopsAtHighWater: what the handlers of several messages send gathers
// until the last has returned. That must not make Send refuse what the kernel has room
// for.
func TestGatheringStopsAtHighWater(t *testing.T) {
	scripted(t, 1<<20, plan{codec: 1}, func(k *script) {
		k.say(make([]byte, 60), make([]byte, 60), make([]byte, 60), make([]byte, 60), make([]byte, 60))
		if k.track.out.accepted != 5 {
			k.t.Errorf("%d of 5 messages were taken", k.track.out.accepted)
		}
	}, engine.WithOutbound(50, 100, 150))
}

// TestWaitingMessageKeepsNoLoopSegment: a message that waits until the peer takes output
// must not keep the memory that its loop read it into.
func TestWaitingMessageKeepsNoLoopSegment(t *testing.T) {
	for _, options := range [][]engine.Option{nil, {engine.WithMode(engine.Pool)}} {
		scripted(t, 16, plan{codec: 1}, func(k *script) {
			k.say(make([]byte, 100), make([]byte, 100))
			k.say(make([]byte, 100))
			if k.track.messages != 1 {
				k.t.Fatalf("%d messages, two should wait", k.track.messages)
			}
			if use := k.engine.Stats().Memory.Buffers.InUse; use > k.readSize+4<<10 {
				k.t.Errorf("%d bytes of buffers are in use", use)
			}
		}, append(options, engine.WithOutbound(10, 20, 1<<20))...)
	}
}

// TestFrameTimeoutWithoutCodecYet: the beginning of a frame comes before OnOpen, which
// sets the codec, has run on a worker. The frame's deadline must count all the same.
func TestFrameTimeoutWithoutCodecYet(t *testing.T) {
	scripted(t, 1<<10, plan{codec: 1}, func(k *script) {
		k.deadlines.frame = 100 * time.Millisecond
		p := &peer{sim: k.simulation, addr: k.client.addr, toServer: 1 << 10, toClient: 1 << 10, total: 10, sent: 2}
		p.track = &track{name: "another", sim: k.simulation, draws: drawsOf(1, "another"), peer: p, plan: plan{codec: 1}, meddled: true}
		p.track.speech.add(make([]byte, 6), []byte{0, 0, 0, 6, 0, 0, 0, 0, 0, 0})
		k.tracks = append(k.tracks, p.track)
		p.connect()
		if n, errno := p.socket.send([][]byte{p.track.speech.wire[:2]}); n != 2 || errno != 0 {
			k.t.Fatal(n, errno)
		}
		for range 10 { // the loop reads before any worker runs
			k.resume(k.loops[0], nil)
		}
		if p.track.state != waiting || p.track.clock.taken != 2 {
			k.t.Fatalf("state %d, %d bytes are read", p.track.state, p.track.clock.taken)
		}
		k.settle()
		k.pass(300 * time.Millisecond)
		if p.track.session.State() == session.Open {
			k.t.Error("a frame that never ends is waited for for ever")
		}
	}, engine.WithMode(engine.Pool), engine.WithFrameTimeout(100*time.Millisecond))
}

// TestFrameTimeoutBehindSlowOpen: OnOpen takes longer than a frame may, and the beginning
// of one has come meanwhile. Its deadline must count once OnOpen has returned.
func TestFrameTimeoutBehindSlowOpen(t *testing.T) {
	scripted(t, 1<<10, plan{codec: 1}, func(k *script) {
		const frame = 10 * time.Millisecond
		k.deadlines.frame = frame
		k.crew.slow, k.crew.blocks = 1, 1
		p := &peer{sim: k.simulation, addr: k.client.addr, toServer: 1 << 10, toClient: 1 << 10, total: 10, sent: 2}
		p.track = &track{name: "another", sim: k.simulation, draws: drawsOf(1, "another"), peer: p, plan: plan{codec: 1}, meddled: true}
		p.track.speech.add(make([]byte, 6), []byte{0, 0, 0, 6, 0, 0, 0, 0, 0, 0})
		k.tracks = append(k.tracks, p.track)
		p.connect()
		if n, errno := p.socket.send([][]byte{p.track.speech.wire[:2]}); n != 2 || errno != 0 {
			k.t.Fatal(n, errno)
		}
		k.settle()
		k.pass(2 * frame)
		if !p.track.inHandler {
			k.t.Fatal("OnOpen has returned already")
		}
		k.pass(300 * time.Millisecond)
		if p.track.session.State() == session.Open {
			k.t.Error("a frame that never ends is waited for for ever")
		}
	}, engine.WithMode(engine.Pool), engine.WithFrameTimeout(10*time.Millisecond))
}

// TestStallAfterThrottle: a session waits because its peer sent too much, and because
// that takes no output. When the first wait is over the stall deadline must still count.
func TestStallAfterThrottle(t *testing.T) {
	scripted(t, 16, plan{codec: 1}, func(k *script) {
		k.say(make([]byte, 100), make([]byte, 100))
		k.pass(stall + time.Second)
		if k.track.state != closed || k.track.reason.Reason != session.ReasonSlowConsumer {
			k.t.Errorf("after the stall deadline: state %d, %v", k.track.state, k.track.reason)
		}
	}, engine.WithThrottle(), engine.WithMessageRate(1, 1), engine.WithOutbound(10, 150, 1<<20))
}
