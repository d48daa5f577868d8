package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// user stands for the program's other goroutines: at random moments it does
// anything to any session.
type user struct {
	draws
	name  string
	sim   *simulation
	done  int // things done or left out
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
	u.done++
	if u.chance(0.5) {
		u.at = s.now.Add(u.within(100 * time.Millisecond))
	}
	// What is left out draws nothing from the user: each thing has draws of its own.
	name := fmt.Sprintf("%s.%d", u.name, u.done)
	if !s.parts.has(name) {
		return
	}
	u.act(drawsOf(s.seed, name))
}

// act does one thing.
func (u *user) act(d draws) {
	s := u.sim
	outer := u.draws
	u.draws = d
	defer func() { u.draws = outer }()
	open := s.live()
	t := open[u.IntN(len(open))]
	if u.chance(u.harsh) {
		u.end(t)
		return
	}
	if s.crowd != nil && u.chance(0.6) {
		s.crowd.act(t, d, false)
		return
	}
	if s.casts != nil && u.chance(0.3) {
		for range u.upTo(4) {
			s.casts.send(d, u.upTo(4<<10))
		}
		return
	}
	if s.letters && u.chance(0.4) {
		u.call(t, d)
		return
	}
	switch u.IntN(9) {
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
	case 8:
		p := u.message(t)
		t.pushed = true
		t.sendNotify(p)
		clear(p)
	}
}

// call has a goroutine of the program's call what may wait.
func (u *user) call(t *track, d draws) {
	s := u.sim
	group := s.crowd != nil && d.chance(0.5)
	if t.plan.turner && !group {
		return
	}
	s.hands.hire(false, func() {
		defer s.tripped()
		for range d.upTo(4) {
			if group {
				s.crowd.halls[d.IntN(len(s.crowd.halls))].publish(t, d, true)
			} else {
				t.write(s.patience(d), d.upTo(8<<10))
			}
		}
	})
}

// message is what a user sends: mostly a little, sometimes very much.
func (u *user) message(t *track) []byte {
	n := u.upTo(min(1<<16, 8*t.peer.toClient))
	return slices.Clone(numbers[n%97:][:n])
}

// post has something sent on the loop.
func (u *user) post(t *track) {
	n := len(u.message(t))
	t.post(func() {
		t.pushed = true
		p := slices.Clone(numbers[n%97:][:n])
		t.echo(p)
		clear(p)
		u.sim.exit(t, 0.05)
	})
}

// find looks the session up by its number.
func (u *user) find(t *track) {
	found, err := u.sim.engine.Session(t.session.ID())
	switch {
	case errors.Is(err, engine.ErrNotFound) && t.session.State() == session.Closed, err == nil && found == t.session:
	default:
		u.sim.failf("%s: looked up: another session: %v, %v", t, found != nil, err)
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
	switch u.IntN(ways) {
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
		c.halls[u.IntN(len(c.halls))].kick()
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
	do func()
	at time.Time
}

// add has a connection's promises kept.
func (j *janitor) add(t *track) {
	j.later(t.within(300*time.Millisecond), func() { t.keepPromises() })
}

// later has something done.
func (j *janitor) later(d time.Duration, do func()) {
	j.jobs = append(j.jobs, job{do, j.sim.now.Add(d)})
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
	do := j.jobs[i].do
	j.jobs = slices.Delete(j.jobs, i, i+1)
	do()
}

// keepPromises does what a handler has left for later.
func (t *track) keepPromises() {
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
