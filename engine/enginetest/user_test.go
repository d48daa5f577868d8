package enginetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// user stands for the program's other goroutines: at random moments it does
// anything to any session.
type user struct {
	sim   *simulation
	left  int // things to do
	at    time.Time
	harsh float64 // how often it ends a session
}

func (u *user) String() string { return "" }

func (u *user) ready() bool { return u.left > 0 && !u.sim.now.Before(u.at) && len(u.sim.live()) > 0 }

func (u *user) wakes() time.Time {
	if u.left > 0 && u.at.After(u.sim.now) {
		return u.at
	}
	return time.Time{}
}

// live are the connections that have been opened, closed ones too.
func (s *simulation) live() (open []*track) {
	for _, t := range s.tracks {
		if t.state != waiting {
			open = append(open, t)
		}
	}
	return open
}

func (u *user) step() {
	s := u.sim
	u.left--
	if s.chance(0.5) {
		u.at = s.now.Add(s.within(100 * time.Millisecond))
	}
	open := s.live()
	t := open[s.rng.IntN(len(open))]
	if s.chance(u.harsh) {
		u.end(t)
		return
	}
	if s.crowd != nil && s.chance(0.6) {
		s.crowd.act(t)
		return
	}
	switch s.rng.IntN(8) {
	case 0, 1:
		p := u.message(t)
		t.pushed = true
		_ = t.send(p, "Send", func() error { return t.session.Send(p) })
		clear(p)
	case 2:
		p := u.message(t)
		t.pushed = true
		_ = t.sendOwned(p, func() { clear(p) })
	case 3:
		if t.state == opened && !t.paused {
			t.pause()
		}
	case 4:
		u.post(t)
	case 5:
		_ = t.session.Flush()
	case 6:
		u.find(t)
	case 7:
		t.pushed = true
		t.sendKept()
	}
}

// message is what a user sends: mostly a little, sometimes very much.
func (u *user) message(t *track) []byte {
	n := u.sim.upTo(min(1<<16, 8*t.peer.toClient))
	return slices.Clone(numbers[n%97:][:n])
}

// post has something sent on the loop.
func (u *user) post(t *track) {
	err := t.session.Post(func() {
		if t.inHandler {
			u.sim.failf("%s: a task runs within a handler", t)
		}
		t.pushed = true
		p := u.message(t)
		t.echo(p)
		clear(p)
		u.sim.exit(t, 0.05)
	})
	u.sim.note("%s: Post: %v", t, err)
}

// find looks the session up by its number.
func (u *user) find(t *track) {
	found, err := u.sim.engine.Session(t.session.ID())
	switch {
	case errors.Is(err, engine.ErrNotFound) && t.session.State() == session.Closed, err == nil && found == t.session:
	default:
		u.sim.failf("%s: looked up: %v, %v", t, found, err)
	}
	_ = u.sim.engine.Stats()
}

// sendKept sends the frames that a handler kept, without a copy.
func (t *track) sendKept() {
	for t.state == opened && len(t.retained) > 0 {
		f := t.retained[0]
		t.retained = t.retained[1:]
		_ = t.sendOwned(f.Bytes(), f.Release)
	}
}

// end ends a session in one of the ways there are.
func (u *user) end(t *track) {
	t.meddled = true
	var err error
	ways := 5
	if u.sim.crowd != nil {
		ways++
	}
	switch u.sim.rng.IntN(ways) {
	case 0:
		err = t.session.Close()
	case 1:
		err = t.session.CloseWith(session.ReasonOverLimit)
	case 2:
		err = t.session.CloseWrite()
	case 3:
		err = t.session.Abort()
	case 4:
		p := u.message(t)
		t.pushed = true
		err = t.send(p, "SendAndClose", func() error { return t.session.SendAndClose(p, nil) })
		clear(p)
	case 5:
		c := u.sim.crowd
		c.halls[u.sim.rng.IntN(len(c.halls))].kick()
	}
	u.sim.note("%s: ended by a user: %v", t, err)
}

// janitor does for handlers what they promised: it resumes and sends what they
// kept, a while later.
type janitor struct {
	sim  *simulation
	jobs []job
}

type job struct {
	track *track
	at    time.Time
}

func (j *janitor) add(t *track) {
	j.jobs = append(j.jobs, job{t, j.sim.now.Add(j.sim.within(300 * time.Millisecond))})
}

func (j *janitor) String() string { return "" }

func (j *janitor) ready() bool {
	return slices.ContainsFunc(j.jobs, func(k job) bool { return !j.sim.now.Before(k.at) })
}

func (j *janitor) wakes() (first time.Time) {
	for _, k := range j.jobs {
		if first.IsZero() || k.at.Before(first) {
			first = k.at
		}
	}
	return first
}

func (j *janitor) step() {
	i := slices.IndexFunc(j.jobs, func(k job) bool { return !j.sim.now.Before(k.at) })
	t := j.jobs[i].track
	j.jobs = slices.Delete(j.jobs, i, i+1)
	if t.paused {
		t.resume()
	}
	if t.plan.manner == keeping && t.state == opened {
		t.pushed = true
		t.sendKept()
		if t.answered {
			_ = t.session.CloseWith(session.ReasonPeerClosed)
		}
	}
}

// ender ends the engine at a certain moment.
type ender struct {
	sim    *simulation
	at     time.Time
	way    int
	cancel context.CancelFunc
}

func (e *ender) String() string   { return "" }
func (e *ender) ready() bool      { return !e.at.IsZero() && !e.sim.now.Before(e.at) }
func (e *ender) wakes() time.Time { return e.at }

func (e *ender) step() {
	s := e.sim
	e.at = time.Time{}
	if e.cancel != nil {
		s.note("the engine's shutdown is cancelled")
		e.cancel()
		s.beside(func() {})
		return
	}
	switch e.way {
	case 0:
		s.endEngine()
	case 1:
		s.engineEnds()
		s.note("the engine is closed")
		s.beside(func() { _ = s.engine.Close() })
	case 2:
		s.engineEnds()
		s.note("the engine is shut down")
		ctx, cancel := context.WithCancel(context.Background())
		e.cancel, e.at = cancel, s.now.Add(s.within(time.Second))
		s.beside(func() { _ = s.engine.Shutdown(ctx) })
	}
}

// endEngine begins a graceful end.
func (s *simulation) endEngine() {
	s.engineEnds()
	s.note("the engine is stopped")
	s.engine.Stop()
}

// engineEnds notes that from now on connections may be cut short.
func (s *simulation) engineEnds() {
	s.ending = true
	for _, t := range s.tracks {
		t.meddled = t.meddled || t.state != closed
	}
}

// engineFails is engineEnds for an engine that ends by itself.
func (s *simulation) engineFails() { s.engineEnds() }
