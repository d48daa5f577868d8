package enginetest

import (
	"fmt"
	"net"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// feature returns the draws of a part that is there with a probability.
func (s *simulation) feature(name string, p float64) (draws, bool) {
	d := drawsOf(s.seed, name)
	return d, d.chance(p) && s.parts.has(name)
}

// fault draws how often something goes wrong.
func (s *simulation) fault(name string, rates ...float64) float64 {
	rate := pick(drawsOf(s.seed, name), rates...)
	if rate > 0 && !s.parts.has(name) {
		return 0
	}
	return rate
}

// setUp draws everything that is fixed at the beginning.
func (s *simulation) setUp() {
	faults := faults{
		short: s.fault("short", 0, 0.05, 0.5), again: s.fault("again", 0, 0.02, 0.2), disturb: s.fault("disturb", 0, 0.05, 0.3),
		hold: s.fault("hold", 0, 0.1, 0.5), stale: s.fault("stale", 0, 0.05), early: s.fault("early", 0, 0.01),
		accept: s.fault("accept", 0, 0, 0.2), register: s.fault("register", 0, 0, 0.1), poll: s.fault("poll", 0, 0, 0, 0, 0, 0, 0.0005),
		ambush: s.fault("ambush", 0, 0, 0.002, 0.02),
	}
	s.start(append(s.drawEngine(), s.drawMode()...)...)
	if s.crowd != nil {
		s.crowd.open()
	}
	network, address := "tcp", "127.0.0.1:0"
	if _, ok := s.feature("unix", 0.3); ok {
		network, address = "unix", "/simulation"
	}
	addr := s.listen(network, address, session.Framed(s.handler, codecs[s.codec].codec))
	s.faults = faults
	s.cast(addr)
	if s.dialling != nil {
		s.dialling.cast()
	}
}

// drawEngine draws what all of an engine's sessions have in common.
func (s *simulation) drawEngine() []engine.Option {
	d := drawsOf(s.seed, "engine")
	s.low = d.between(1, 8<<10)
	s.high = s.low + d.between(64, 32<<10)
	s.cap = s.high + d.between(1, 128<<10)
	s.network.hosts = uint16(1 + d.IntN(4))
	loops := 1 + d.IntN(3)
	if loops > 1 && !s.parts.has("loops") {
		loops = 1
	}
	opts := []engine.Option{
		engine.WithLoops(loops), engine.WithLogger(engine.NoLog{}), engine.WithDebugBuffers(),
		engine.WithOutbound(s.low, s.high, s.cap), engine.WithReadBudget(pick(d, 1, 100, 5000, 256<<10)),
		engine.WithStallTimeout(stall), engine.WithLinger(linger), engine.WithMailbox(pick(d, 2, 1024)),
		engine.WithIdleBuffers(pick(d, 0, 64<<10, 1<<20)),
	}
	opts = append(opts, s.drawWatch()...)
	opts = append(opts, s.drawAccepting()...)
	opts = append(opts, s.drawMessages()...)
	opts = append(opts, s.deadlines.draw(s)...)
	opts = append(opts, s.intake.draw(s)...)
	if d, ok := s.feature("total", 0.1); ok {
		s.total = int64(d.between(s.cap, 512<<10))
		opts = append(opts, engine.WithOutboundTotal(s.total))
	}
	if d, ok := s.feature("spread", 0.3); ok {
		s.spread = d.span(10, 2000)
		opts = append(opts, engine.WithDrainSpread(s.spread))
	}
	if d, ok := s.feature("spin", 0.2); ok {
		s.spin = time.Duration(d.between(10, 100)) * time.Microsecond
		opts = append(opts, engine.WithSpin(s.spin))
	}
	if d, ok := s.feature("read-size", 0.2); ok {
		s.readSize = pick[int64](d, 4<<10, 256<<10)
		opts = append(opts, engine.WithReadSize(int(s.readSize)))
	}
	return append(opts, s.drawHandler()...)
}

// drawWatch draws the watchdog, and how often handlers on loops take long.
func (s *simulation) drawWatch() []engine.Option {
	if _, ok := s.feature("dwell", 0.15); ok {
		s.dwells = 10
	}
	if d, ok := s.feature("watchdog", 0.3); ok {
		s.watch.limit = d.span(10, 60)
	}
	return []engine.Option{engine.WithWatchdog(s.watch.limit)}
}

// drawAccepting draws who is let in, and onto which loop.
func (s *simulation) drawAccepting() (opts []engine.Option) {
	d := drawsOf(s.seed, "placement")
	s.placement.policy = engine.Placement(d.IntN(3))
	opts = append(opts, engine.WithPlacement(s.placement.policy))
	if _, ok := s.feature("reuse-port", 0.2); ok {
		opts = append(opts, engine.WithReusePort())
	} else {
		s.placement.perHost = make(map[string]uint64)
	}
	if d, ok := s.feature("accept-rate", 0.1); ok {
		opts = append(opts, engine.WithAcceptRate(d.between(10, 1000), d.between(1, 10)))
	}
	if d, ok := s.feature("max-sessions", 0.1); ok {
		s.placement.max = 1 + d.IntN(8)
		opts = append(opts, engine.WithMaxSessions(s.placement.max), engine.WithMaxPerAddress(1+d.IntN(8)))
	}
	return opts
}

// drawMessages draws what there is besides Send.
func (s *simulation) drawMessages() (opts []engine.Option) {
	if d, ok := s.feature("groups", 0.6); ok {
		s.gather(d)
		opts = append(opts, engine.WithGroups(s.crowd.configure))
		if d, ok := s.feature("backplane", 0.2); ok {
			s.plane = &plane{sim: s, draws: d, left: d.IntN(30), failing: pick(d, 0, 0.2)}
			s.actors = append(s.actors, &actor{part: s.plane})
			opts = append(opts, engine.WithBackplane(s.plane))
		}
	}
	if _, ok := s.feature("casts", 0.25); ok {
		s.casts = &casts{sim: s}
	}
	_, s.letters = s.feature("letters", 0.3)
	if d, ok := s.feature("dialling", 0.4); ok && s.casts == nil { // casts are for sessions that are accepted
		opts = append(opts, s.dial(d)...)
	}
	return opts
}

// drawHandler draws which parts the handler has.
func (s *simulation) drawHandler() (opts []engine.Option) {
	_, halfOpen := s.feature("half-open", 0.3)
	_, flow := s.feature("flow", 0.3)
	h := simHandler{s}
	switch {
	case halfOpen && flow:
		s.handler = halfOpenFlowHandler{halfOpenHandler{h}}
	case halfOpen:
		s.handler = halfOpenHandler{h}
	case flow:
		s.handler = flowHandler{h}
	default:
		s.handler = h
	}
	if halfOpen {
		opts = append(opts, engine.WithHalfOpen())
	}
	if d, ok := s.feature("codec", 0.5); ok {
		s.codec = d.IntN(len(codecs))
	}
	return opts
}

// drawMode draws the mode, and who runs handlers in mode pool.
func (s *simulation) drawMode() []engine.Option {
	d, ok := s.feature("pool", 0.5)
	if !ok {
		return []engine.Option{engine.WithMode(engine.Inline)}
	}
	s.pooled = true
	s.unread = d.between(64, 64<<10)
	s.crew.limit = d.between(1, 64)
	s.crew.slow = pick(d, 0, 0.02, 0.2)
	if s.crew.slow > 0 && !s.parts.has("slow-handlers") {
		s.crew.slow = 0
	}
	s.crew.blocks = 300
	policy := engine.Overload(d.IntN(3))
	s.rejects = policy == engine.Reject
	if d.chance(0.3) {
		if s.crew.refuse = pick(d, 0.1, 0.8); !s.parts.has("refuse") {
			s.crew.refuse = 0
		}
	}
	return []engine.Option{
		engine.WithMode(engine.Pool), engine.WithExecutor(&s.crew), engine.WithOverload(policy),
		engine.WithUnread(s.unread),
	}
}

// listen opens a listener, which waits for loops.
func (s *simulation) listen(network, address string, h session.Handler) net.Addr {
	var listener *engine.Listener
	s.beside(func() {
		var err error
		if listener, err = s.engine.Listen(network, address, h); err != nil {
			panic(err)
		}
	})
	for i := 0; listener == nil; i++ { // loops that spin are told of it later
		s.resume(s.loops[i%len(s.loops)], nil)
		synctest.Wait()
	}
	return listener.Addr()
}

// cast draws the actors.
func (s *simulation) cast(addr net.Addr) {
	d := drawsOf(s.seed, "actors")
	s.actors = append(s.actors, &actor{part: s.janitor})
	harsh := pick(d, 0, 0.05, 0.3)
	for i := range 1 + d.IntN(3) {
		u := &user{name: fmt.Sprintf("user%d", i), sim: s, harsh: harsh}
		u.draws = drawsOf(s.seed, u.name)
		if u.left = u.IntN(40); s.parts.has(u.name) {
			s.actors = append(s.actors, &actor{part: u})
		}
	}
	if d, ok := s.feature("end", 0.3); ok {
		e := &ender{sim: s, draws: d, at: s.now.Add(d.within(time.Second)), way: way(d.IntN(int(ways)))}
		if s.pooled && e.way != stops && d.chance(0.5) {
			e.hang = s.parts.has("hang")
		}
		s.ender = e
		s.actors = append(s.actors, &actor{part: e})
	}
	clients := d.between(1, 16)
	for i := range clients {
		s.castClient(addr, i)
	}
	if s.crowd != nil && d.chance(0.02) {
		s.castMany(d, addr, clients)
	}
}

// castClient draws a client, and what the handler of its session does. It comes only if
// the simulation has that part.
func (s *simulation) castClient(addr net.Addr, number int) {
	t := &track{name: fmt.Sprintf("client%d", number), sim: s, meddled: s.deadlines.any() || s.rejects}
	t.draws = drawsOf(s.seed, t.name)
	t.plan = plan{manner: manner(t.IntN(int(manners))), factor: 1 + t.IntN(10), last: 1 + t.IntN(5)}
	t.plan.codec = s.codec
	if t.chance(0.2) {
		t.plan.codec = t.IntN(len(codecs))
	}
	if s.pooled && s.casts != nil {
		t.plan.codec = s.codec // casts may come before OnOpen, in the codec that there is then
	}
	t.plan.notify = pick(t.draws, 0, 0, 0.2)
	p := &peer{sim: s, track: t, addr: addr, lazy: slack, nap: 500 * time.Millisecond, urgent: pick(t.draws, 0, 0, 0.2)}
	if t.chance(0.4) {
		p.fate = fate(t.IntN(int(fates)))
	}
	p.toServer, p.toClient = t.between(16, 256<<10), t.between(16, 256<<10)
	p.total = t.between(1, min(64<<10, 100*min(p.toServer, p.toClient)))
	if !s.parts.has(t.name + "-size") {
		p.total = min(p.total, 64)
	}
	if t.framed() {
		s.castSpeech(t, p)
		if s.deadlines.frame > 0 && t.chance(0.5) {
			p.lazy, p.nap = 0.5, s.deadlines.frame      // it stops in the middle of frames, and goes on
			p.dawdles = t.chance(0.5) && !t.plan.turner // there may be more on its wire than frames
		}
	}
	p.limit = t.IntN(2 * p.total)
	p.patient = t.chance(0.5)
	p.idleUntil = s.now.Add(t.within(200 * time.Millisecond))
	if n := len(s.tracks); n > 0 && t.chance(0.2) {
		p.after = s.tracks[t.IntN(n)].peer
	}
	if t.chance(0.2) {
		t.plan.opening = t.between(1, 8*p.toClient)
	}
	if s.letters && !t.plan.turner {
		t.plan.writes = pick(t.draws, 0, 0, 0.1)
	}
	if s.crowd != nil {
		s.castMember(p)
	}
	if t.chance(0.03) {
		// More than one holder of the write side carries at a time.
		t.plan.opening, p.toClient = 3<<20, 4<<20
	}
	switch p.fate {
	case silent:
		p.total = 0
		p.quitAt = s.now.Add(t.within(time.Minute))
	case deaf, drips:
		p.quitAt = s.now.Add(t.within(20 * time.Second))
	}
	t.plan.opening = min(t.plan.opening, codecs[t.plan.codec].most)
	t.peer = p
	if s.parts.has(t.name) {
		s.tracks = append(s.tracks, t)
		s.actors = append(s.actors, &actor{part: p})
	}
}

// castSpeech draws what a client says in frames, and may have the codec change on the way.
func (s *simulation) castSpeech(t *track, p *peer) {
	limit := t.between(1, 32<<10)
	t.speech.write(t.draws, t.plan.codec, p.total, limit)
	if s.casts == nil && t.chance(0.15) {
		t.plan.turner = true
		for range 1 + t.IntN(3) {
			next := turn{after: len(t.speech.bodies), codec: t.IntN(len(codecs)), handler: t.chance(0.5)}
			t.plan.turns = append(t.plan.turns, next)
			if next.codec == 0 {
				t.speech.wire = append(t.speech.wire, numbers[:t.upTo(p.total)]...)
				break
			}
			t.speech.write(t.draws, next.codec, t.upTo(p.total), limit)
		}
	}
	p.total = len(t.speech.wire)
}

// castMember draws what a client does that groups send to.
func (s *simulation) castMember(p *peer) {
	t := p.track
	if t.plan.turner {
		return // groups would go on with the codec it had
	}
	for _, h := range s.crowd.halls {
		if t.chance(0.4) {
			t.plan.joins = append(t.plan.joins, h)
		}
	}
	if t.chance(0.5) {
		p.fate = silent // it listens
	}
	p.lazy = pick(t.draws, slack, 0.1, 0.5)
}

// castMany draws more members of a group than a loop gives something in a turn.
func (s *simulation) castMany(d draws, addr net.Addr, from int) {
	if !s.parts.has("many") {
		return
	}
	quitAt := s.now.Add(d.within(5 * time.Second))
	for i := range 150 + d.IntN(200) {
		t := &track{name: fmt.Sprintf("client%d", from+i), sim: s, meddled: true}
		t.draws = drawsOf(s.seed, t.name)
		t.plan = plan{codec: s.codec, joins: s.crowd.halls[:1]}
		p := &peer{sim: s, track: t, addr: addr, fate: silent, lazy: slack, nap: 500 * time.Millisecond, quitAt: quitAt}
		p.toServer, p.toClient = 1<<10, t.between(1<<10, 64<<10)
		t.peer = p
		s.tracks = append(s.tracks, t)
		s.actors = append(s.actors, &actor{part: p})
	}
}
