package enginetest

import (
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// deadlines are those that a simulation's engine has besides stall and linger; 0: off.
// A session must not be closed for one too early, nor be there long after it.
type deadlines struct {
	first, idle, lifetime, frame time.Duration

	heart  time.Duration // an interval of heartbeats
	missed int           // of these, until a peer is gone
}

const (
	// early is how much sooner than told a deadline may come: times are in ticks.
	early = 10 * time.Millisecond

	// late is how much later, seen from outside.
	late = 100 * time.Millisecond
)

// draw draws them. Sessions may then be cut short.
func (x *deadlines) draw(s *simulation) (opts []engine.Option) {
	if d, ok := s.feature("first-message", 0.06); ok {
		x.first = d.span(20, 200)
		opts = append(opts, engine.WithFirstMessageTimeout(x.first))
	}
	if d, ok := s.feature("idle", 0.08); ok {
		x.idle = d.span(30, 500)
		opts = append(opts, engine.WithIdleTimeout(x.idle))
	}
	if d, ok := s.feature("lifetime", 0.06); ok {
		x.lifetime = d.span(50, 2000)
		opts = append(opts, engine.WithLifetime(x.lifetime))
	}
	if d, ok := s.feature("frame", 0.1); ok {
		x.frame = d.span(20, 500)
	}
	opts = append(opts, engine.WithFrameTimeout(x.frame)) // 0 is none: some histories last longer than the default
	if d, ok := s.feature("heartbeat", 0.15); ok {
		x.heart, x.missed = d.span(20, 500), pick(d, 2, 2, 3)
	}
	return append(opts, engine.WithHeartbeat(x.heart, max(x.missed, 2)))
}

func (x *deadlines) any() bool { return *x != deadlines{} }

// clockwork is what a connection's deadlines are judged by.
type clockwork struct {
	begun   time.Time // when its loop took it, and the engine's clocks began; OnOpen may wait for a worker
	met     time.Time // when its loop tried to read for the first time
	opened  time.Time
	active  time.Time     // when something came or left last
	longest time.Duration // that nothing did
	taken   int           // bytes that the engine has read
	first   time.Time     // when the first of them was
	began   time.Time     // when the first byte of a frame was read whose last was not; zero: there is none
	partial time.Duration // the longest that there was one
	quiet   time.Time     // since when a deadline could pass
	pulse   pulse
}

func (k *clockwork) open(now time.Time) {
	k.opened, k.active = now, now
	k.longest = now.Sub(k.begun)
	k.pulse.hear(k.begun)
}

// move is told that something came or left.
func (k *clockwork) move(now time.Time) {
	if !k.opened.IsZero() {
		k.longest = max(k.longest, now.Sub(k.active))
	}
	k.active = now
	k.quiet = time.Time{}
}

// read is told that the engine has read n bytes.
func (t *track) read(n int) {
	k, now := &t.clock, t.sim.now
	k.move(now)
	k.pulse.hear(now)
	if k.taken == 0 {
		k.first = now
	}
	before := k.taken
	k.taken += n
	if !t.framed() || t.plan.turner {
		return
	}
	if !k.began.IsZero() {
		k.partial = max(k.partial, now.Sub(k.began))
	}
	switch {
	case t.speech.endsAt(k.taken):
		k.began = time.Time{}
	case k.began.IsZero() || t.speech.endsBetween(before, k.taken):
		k.began = now
	}
}

// ahead is how far the end of the frame at a position is, and how long the next one is.
func (k *speech) ahead(from int) (rest, next int) {
	pos := 0
	for _, size := range k.sizes {
		if pos > from {
			return pos - from, size
		}
		pos += size
	}
	return pos - from, 0
}

// endsBetween tells whether a frame ends behind one position and not behind another.
func (k *speech) endsBetween(from, to int) bool {
	pos := 0
	for _, size := range k.sizes {
		if pos += size; pos > to {
			break
		}
		if pos > from {
			return true
		}
	}
	return false
}

// checkClosed is told that a session has closed.
func (x *deadlines) checkClosed(t *track) {
	s, k := t.sim, &t.clock
	least, was := time.Duration(0), time.Duration(0)
	switch t.reason.Reason {
	case session.ReasonFirstMessage:
		least, was = x.first, s.now.Sub(k.begun)
		if k.taken > 0 {
			was = k.first.Sub(k.begun)
		}
	case session.ReasonIdle:
		least, was = x.idle, max(k.longest, s.now.Sub(k.active))
	case session.ReasonLifetime:
		least, was = x.lifetime, s.now.Sub(k.begun)
	case session.ReasonFrameTimeout:
		least, was = x.frame, k.partial
		if !k.began.IsZero() {
			was = max(was, s.now.Sub(k.began))
		}
		if t.plan.turner {
			was = least
		}
	case session.ReasonHeartbeat:
		k.pulse.check(s, t)
		return
	default:
		return
	}
	// A loop takes what happens in a turn to happen at its beginning.
	if least == 0 || was < least-early-s.dwelt {
		s.failf("%s: closed for %s after %v, not after %v", t, t.reason.Reason, was, least)
	}
}

// checkOpen looks, while time passes, for a session that should have been closed. Where
// anything makes a clock stand still nothing is said.
func (x *deadlines) checkOpen(t *track) {
	s, k := t.sim, &t.clock
	if !x.any() || t.session.State() != session.Open || s.ending {
		return
	}
	st, local := t.session.Stats(), t.peer.socket.peer
	still := !t.paused && !t.inHandler && st.Queued == 0 && local.roomy() && len(local.in) == 0 && !local.shut &&
		s.intake == intake{} && s.hands.workers() == 0
	lasts := s.lasts(still, &k.quiet)
	k.pulse.checkOpen(s, t, still && !local.fin)
	partial := !k.began.IsZero() && !t.plan.turner
	switch {
	case x.first > 0 && k.taken == 0 && lasts > x.first+late:
		s.failf("%s: said nothing for %v", t, lasts)
	case x.idle > 0 && lasts > 2*x.idle+late:
		s.failf("%s: idle for %v", t, lasts)
	case x.lifetime > 0 && s.now.Sub(k.opened) > x.lifetime+late && lasts > late && st.Unread == 0:
		s.failf("%s: open for %v", t, s.now.Sub(k.opened))
	case x.frame > 0 && partial && lasts > x.frame+late:
		s.failf("%s: in the middle of a frame for %v", t, lasts)
	}
}

// intake is how much peers may send; the zero value is any number.
type intake struct {
	bytes, bytesBurst       int // per second, and at once
	messages, messagesBurst int
}

func (x *intake) draw(s *simulation) (opts []engine.Option) {
	d, ok := s.feature("throttle", 0.2)
	if !ok {
		return nil
	}
	// Whoever is over a limit waits, and loses nothing.
	x.bytes, x.bytesBurst = d.between(8<<10, 256<<10), d.between(1, 16<<10)
	opts = append(opts, engine.WithThrottle(), engine.WithByteRate(x.bytes, x.bytesBurst))
	if d.chance(0.5) {
		x.messages, x.messagesBurst = d.between(50, 1000), d.between(1, 100)
		opts = append(opts, engine.WithMessageRate(x.messages, x.messagesBurst))
	}
	return opts
}

// most is what may have come by now.
func (x *intake) most(t *track, perSecond, burst int) int {
	elapsed := t.sim.now.Sub(t.clock.met)
	const bucket = 0.02 // a burst counts as at least what comes in 20 ms
	rate := float64(perSecond)
	return int(max(float64(burst), rate*bucket)+elapsed.Seconds()*rate) + 1
}

// mayEnd tells whether the session may be about to end: it then waits for nothing before
// it handles the rest.
func (t *track) mayEnd() bool {
	remote := t.peer.socket
	return t.sim.ending || t.sim.deadlines.any() || remote.closed || remote.peer.dead || t.session.State() != session.Open
}

// checkRead looks, when a session is about to be read, whether that is too early.
func (x *intake) checkRead(t *track) {
	if x.bytes == 0 || t.mayEnd() {
		return
	}
	if most := x.most(t, x.bytes, x.bytesBurst); t.clock.taken > most {
		t.sim.failf("%s: is read after %d bytes, at most %d could be", t, t.clock.taken, most)
	}
}

// checkMessage looks, when a message is shown, whether that is too early.
func (x *intake) checkMessage(t *track) {
	if x.messages == 0 || t.mayEnd() || t.peer.socket.peer.fin {
		return
	}
	if most := x.most(t, x.messages, x.messagesBurst); t.messages > most {
		t.sim.failf("%s: message %d is shown, at most %d could be", t, t.messages, most)
	}
}

// placement is how an engine places connections.
type placement struct {
	policy  engine.Placement
	perHost map[string]uint64 // by client's address: the loop, with SourceHash
	max     int               // sessions at a time; 0: any number
}

// check is told of a session that has opened.
func (x *placement) check(t *track) {
	if x.policy != engine.SourceHash || x.perHost == nil {
		return
	}
	host := t.peer.socket.peer.peerAddr.Addr().String()
	loop := t.session.ID() & (firstSession - 1) % uint64(len(t.sim.loops))
	if before, ok := x.perHost[host]; ok && before != loop {
		t.sim.failf("%s: of host %s, placed on loops %d and %d", t, host, before, loop)
	}
	x.perHost[host] = loop
}
