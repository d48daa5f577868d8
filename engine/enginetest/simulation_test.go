package enginetest

import (
	"flag"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

var (
	firstSeed = flag.Uint64("seed", 1, "first seed of TestSimulation")
	seedCount = flag.Int("seeds", 100, "number of seeds of TestSimulation")
	traceTail = flag.Int("lines", 200, "lines of history that a failed simulation shows")
)

// TestSimulation runs the engine through many histories. One that fails prints
// the command that repeats it. A panic on a loop's goroutine ends the process
// before that: with -v the last line tells the seed.
func TestSimulation(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*seedCount); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { simulate(t, seed) })
	}
}

// TestSameSeedSameHistory shows that a seed decides everything.
func TestSameSeedSameHistory(t *testing.T) {
	for seed := uint64(1000); seed < 1005; seed++ {
		first, lines := simulate(t, seed)
		second, _ := simulate(t, seed)
		if first != second {
			t.Errorf("seed %d: two histories, %#x and %#x", seed, first, second)
		}
		if other, _ := simulate(t, seed+100); other == first {
			t.Errorf("seeds %d and %d: one history", seed, seed+100)
		}
		if lines < 100 {
			t.Errorf("seed %d: only %d things happened", seed, lines)
		}
	}
}

// simulate runs one history and returns its hash and length.
func simulate(t *testing.T, seed uint64) (sum uint64, lines int) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(seed)
		s.setUp()
		s.run()
		if !s.failed {
			_ = s.engine.Close()
			s.check()
		}
		if s.failed {
			report := s.report()
			s.tearDown()
			t.Fatal(report)
		}
		sum, lines = s.trace.sum.Sum64(), s.trace.lines
		st := s.engine.Stats()
		t.Logf("%d steps, %d lines, %d sessions, %d waits, %d bytes in, %d out; %d workers, %d refused; groups: %+v", s.steps, s.trace.lines,
			s.opened, st.Throttled+st.AcceptWaits, st.BytesIn, st.BytesOut, s.crew.hired, s.crew.refused, st.GroupSent)
	})
	return sum, lines
}

// setUp draws everything that is fixed at the beginning.
func (s *simulation) setUp() {
	pick := func(rates ...float64) float64 { return rates[s.rng.IntN(len(rates))] }
	s.faults = faults{
		short: pick(0, 0.05, 0.5), again: pick(0, 0.02, 0.2), disturb: pick(0, 0.05, 0.3),
		hold: pick(0, 0.1, 0.5), stale: pick(0, 0.05), early: pick(0, 0.01),
		accept: pick(0, 0, 0.2), register: pick(0, 0, 0.1), poll: pick(0, 0, 0, 0, 0, 0, 0.0005),
	}
	low := s.between(1, 8<<10)
	s.high = low + s.between(64, 32<<10)
	s.cap = s.high + s.between(1, 128<<10)
	opts := []engine.Option{
		engine.WithLoops(1 + s.rng.IntN(3)), engine.WithLogger(engine.NoLog{}), engine.WithDebugBuffers(),
		engine.WithOutbound(low, s.high, s.cap), engine.WithReadBudget(int(pick(1, 100, 5000, 256<<10))),
		engine.WithStallTimeout(stall), engine.WithLinger(linger),
		engine.WithPlacement([]engine.Placement{engine.RoundRobin, engine.LeastSessions}[s.rng.IntN(2)]),
		engine.WithMailbox(int(pick(2, 1024))),
	}
	opts = append(opts, s.drawMode()...)
	if s.chance(0.6) {
		s.gather()
		opts = append(opts, engine.WithGroups(s.crowd.configure))
	}
	hasty := s.chance(0.1)
	if hasty {
		opts = append(opts, engine.WithIdleTimeout(200*time.Millisecond), engine.WithLifetime(time.Second),
			engine.WithFirstMessageTimeout(50*time.Millisecond))
	}
	if s.chance(0.2) {
		// Whoever is over a limit waits, and loses nothing.
		opts = append(opts, engine.WithThrottle(), engine.WithByteRate(s.between(8<<10, 256<<10), s.between(1, 16<<10)))
		if s.chance(0.5) {
			opts = append(opts, engine.WithMessageRate(s.between(50, 1000), s.between(1, 100)))
		}
	}
	if s.chance(0.1) {
		opts = append(opts, engine.WithAcceptRate(s.between(10, 1000), s.between(1, 10)))
	}
	halfOpen := s.chance(0.3)
	if halfOpen {
		opts = append(opts, engine.WithHalfOpen())
	}
	if s.chance(0.3) {
		opts = append(opts, engine.WithDrainSpread(time.Duration(s.between(10, 2000))*time.Millisecond))
	}
	quiet := s.faults
	s.faults = faults{}
	s.start(opts...)
	if s.crowd != nil {
		s.crowd.open()
	}
	var h session.Handler = simHandler{s}
	if halfOpen {
		h = halfOpenHandler{simHandler{s}}
	}
	if s.chance(0.5) {
		s.codec = s.rng.IntN(len(codecs))
		h = session.Framed(h, codecs[s.codec])
	}
	network, address := "tcp", "127.0.0.1:0"
	if s.chance(0.3) {
		network, address = "unix", "/simulation"
	}
	addr := s.listen(network, address, h)
	s.faults = quiet
	s.cast(addr, hasty)
}

// drawMode draws the mode, and who runs handlers in mode pool.
func (s *simulation) drawMode() []engine.Option {
	if s.chance(0.5) {
		return []engine.Option{engine.WithMode(engine.Inline)}
	}
	s.pooled = true
	s.unread = s.between(64, 64<<10)
	s.crew.limit = s.between(1, 64)
	s.crew.slow = []float64{0, 0.02, 0.2}[s.rng.IntN(3)]
	s.crew.blocks = 300
	policy := engine.Overload(s.rng.IntN(3))
	s.rejects = policy == engine.Reject
	if s.chance(0.3) {
		s.crew.refuse = []float64{0.1, 0.8}[s.rng.IntN(2)]
	}
	return []engine.Option{
		engine.WithMode(engine.Pool), engine.WithExecutor(&s.crew), engine.WithOverload(policy),
		engine.WithUnread(s.unread),
	}
}

// listen opens a listener, which waits for a loop.
func (s *simulation) listen(network, address string, h session.Handler) net.Addr {
	var listener *engine.Listener
	s.beside(func() {
		var err error
		if listener, err = s.engine.Listen(network, address, h); err != nil {
			panic(err)
		}
	})
	s.resume(s.loops[0], nil)
	synctest.Wait()
	return listener.Addr()
}

// cast draws the actors.
func (s *simulation) cast(addr net.Addr, hasty bool) {
	s.janitor = &janitor{sim: s}
	s.actors = append(s.actors, &actor{part: s.janitor})
	harsh := []float64{0, 0.05, 0.3}[s.rng.IntN(3)]
	for range 1 + s.rng.IntN(3) {
		s.actors = append(s.actors, &actor{part: &user{sim: s, left: s.rng.IntN(40), harsh: harsh}})
	}
	if s.chance(0.3) {
		s.actors = append(s.actors, &actor{part: &ender{sim: s, at: s.now.Add(s.within(time.Second)), way: s.rng.IntN(3)}})
	}
	for range s.between(1, 16) {
		t := &track{sim: s, meddled: hasty || s.rejects}
		t.plan = plan{manner: manner(s.rng.IntN(int(manners))), factor: 1 + s.rng.IntN(10), last: 1 + s.rng.IntN(5)}
		t.plan.codec = s.codec
		if s.chance(0.2) {
			t.plan.codec = s.rng.IntN(len(codecs))
		}
		p := &peer{sim: s, track: t, addr: addr, lazy: slack}
		if s.chance(0.4) {
			p.fate = fate(s.rng.IntN(int(fates)))
		}
		p.toServer, p.toClient = s.between(16, 256<<10), s.between(16, 256<<10)
		p.total = s.between(1, min(64<<10, 100*min(p.toServer, p.toClient)))
		if t.plan.codec != 0 {
			t.speech.write(s, t.plan.codec, p.total, s.between(1, 32<<10))
			p.total = len(t.speech.wire)
		}
		p.limit = s.rng.IntN(2 * p.total)
		p.patient = s.chance(0.5)
		p.idleUntil = s.now.Add(s.within(200 * time.Millisecond))
		if s.chance(0.2) {
			t.plan.opening = s.between(1, 8*p.toClient)
		}
		if s.crowd != nil {
			s.castMember(p)
		}
		if s.chance(0.03) {
			// More than one holder of the write side carries at a time.
			t.plan.opening, p.toClient = 3<<20, 4<<20
		}
		switch p.fate {
		case silent:
			p.total = 0
			p.quitAt = s.now.Add(s.within(time.Minute))
		case deaf:
			p.quitAt = s.now.Add(s.within(20 * time.Second))
		}
		if t.plan.codec == 3 {
			t.plan.opening = min(t.plan.opening, 1<<16-1)
		}
		t.peer = p
		s.tracks = append(s.tracks, t)
		s.actors = append(s.actors, &actor{part: p})
	}
}

// castMember draws what a client does that groups send to.
func (s *simulation) castMember(p *peer) {
	for _, h := range s.crowd.halls {
		if s.chance(0.4) {
			p.track.plan.joins = append(p.track.plan.joins, h)
		}
	}
	if s.chance(0.5) {
		p.fate = silent // it listens
	}
	p.lazy = []float64{slack, 0.1, 0.5}[s.rng.IntN(3)]
}

// check is what must hold after the end.
func (s *simulation) check() {
	for _, t := range s.tracks {
		t.check()
	}
	st := s.engine.Stats()
	closed := uint64(0)
	for _, n := range st.Closed {
		closed += n
	}
	switch {
	case len(s.network.misuses) > 0:
		s.failf("calls on descriptors that are not open: %v", s.network.misuses)
	case s.network.open() != 0:
		s.failf("%d descriptors are open", s.network.open())
	case st.Memory.Buffers.InUse != 0 || st.Memory.Buffers.Segments != 0:
		s.failf("%d bytes of buffers are in use", st.Memory.Buffers.InUse)
	case st.Queued != 0 || st.Sessions != 0:
		s.failf("%d bytes are queued, %d sessions left", st.Queued, st.Sessions)
	case st.Opened != uint64(s.opened) || st.Opened != closed:
		s.failf("%d sessions were opened, %d counted so, %d counted closed", s.opened, st.Opened, closed)
	case st.Unsent != uint64(s.unsent):
		s.failf("%d bytes unsent, %d counted", s.unsent, st.Unsent)
	case s.crowd != nil:
		s.crowd.check(st.GroupSent, st.Groups)
	}
}
