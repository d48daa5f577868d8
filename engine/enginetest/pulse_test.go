package enginetest

import (
	"fmt"
	"time"

	"github.com/weirnet/weir/session"
)

// pulse is what a session's heartbeat is judged by: a peer that says nothing is asked
// after each interval, and gone after as many as may be missed; one that says something is
// never cut.
type pulse struct {
	heard time.Time // when something was received last, or the connection was there
	pings int       // since then
	mute  time.Time // since when the heartbeat could go on
}

// hear is told that something was received, or that the connection is there.
func (k *pulse) hear(now time.Time) { *k = pulse{heard: now} }

// check is told that a session has closed for its heartbeat.
func (k *pulse) check(s *simulation, of fmt.Stringer) {
	x := &s.deadlines
	switch was := s.now.Sub(k.heard); {
	case x.heart == 0:
		s.failf("%s: closed for a heartbeat that it does not have", of)
	case was < time.Duration(x.missed)*(x.heart-early)-s.dwelt: // as in deadlines.checkClosed
		s.failf("%s: closed for its heartbeat %v after something was heard, %d intervals are %v", of, was, x.missed, time.Duration(x.missed)*x.heart)
	case k.pings < x.missed-1:
		s.failf("%s: closed for its heartbeat after %d pings, not %d", of, k.pings, x.missed-1)
	}
}

// checkOpen looks, while time passes, for a peer that should have been noticed to be gone.
// Still tells that nothing makes the clock stand still.
func (k *pulse) checkOpen(s *simulation, of fmt.Stringer, still bool) {
	x := &s.deadlines
	lasts := s.lasts(still && x.heart > 0, &k.mute)
	if lasts > time.Duration(x.missed)*(x.heart+late/4)+late {
		s.failf("%s: its peer says nothing for %v, and is not noticed to be gone", of, lasts)
	}
}

// OnPing implements session.Pinger.
func (h simHandler) OnPing(s *session.Session) {
	defer h.sim.tripped()
	t := s.Value().(*track)
	h.sim.note("%s: OnPing", t)
	if t.state != opened || t.inHandler {
		h.sim.failf("%s: OnPing in state %d", t, t.state)
	}
	t.clock.pulse.pings++
	defer t.enter()()
	h.sim.interrupt(t)
	t.pushed = true
	t.echo([]byte("are you there?"))
}
