package enginetest

import "time"

// watch is what the engine's watchdog must tell, and may tell, of handlers that take long.
type watch struct {
	limit time.Duration // 0: it is off
	must  int           // that took much longer than the limit
	may   int           // that took nearly as long
	dwelt bool          // some of them on a loop
}

// slop is what the watchdog's looks, and turns that began before, make of a time.
const slop = 3 * time.Millisecond

// took is told for how long a handler has run.
func (w *watch) took(s *simulation, d time.Duration) {
	if w.limit == 0 || d < w.limit/2 {
		return
	}
	if s.hands.current == nil {
		w.dwelt = true // what ran before it in this turn counts, too
		if d >= 24*w.limit/10+slop {
			w.must++
		}
		return
	}
	if d >= 12*w.limit/10+slop && !s.over() { // nobody looks any more when loops have ended
		w.must++
	}
	if d >= w.limit-slop {
		w.may++
	}
}

// check compares with what it has told.
func (w *watch) check(s *simulation) {
	st := s.engine.Stats()
	told, may := int(st.BlockedHandlers+st.BlockedLoops), w.may
	for _, t := range s.tracks {
		if t.inHandler && s.now.Sub(t.enteredAt) >= w.limit-slop {
			may++
		}
	}
	switch {
	case told < w.must:
		s.failf("the watchdog tells of %d, %d handlers have taken too long", told, w.must)
	case told > may && !w.dwelt && s.dialling == nil: // a client's functions count with the handler before them
		s.failf("the watchdog tells of %d, at most %d handlers have taken long", told, may)
	}
}

// dwell has a handler that runs on a loop take long. The clock goes on, and the overseer
// and others do meanwhile.
func (s *simulation) dwell(d time.Duration) {
	s.note("the handler takes %v", d)
	for end := s.now.Add(d); s.now.Before(end) && !s.failed; {
		s.drift += overseerTick
		s.dwelt += overseerTick
		s.setTime(s.now.Add(overseerTick))
		if a := s.actors[0]; !a.busy && a.ready() {
			s.play(a)
		}
	}
	for _, t := range s.tracks {
		t.clock.quiet = time.Time{} // no loop has looked at deadlines meanwhile
	}
}
