package enginetest

import (
	"errors"
	"slices"

	"github.com/weirnet/weir/session"
)

// errands are what a connection's strand is left with besides messages: tasks, and
// completions of sends. Each is done once, in order, where handlers run, and before
// OnClose.
type errands struct {
	tasks    int // that were posted
	tasksRun int
	notes    []*note
	notesRun int
}

// note is a completion.
type note struct {
	end  int // of its message, in what Send took
	done bool
}

// post leaves a task.
func (t *track) post(task func()) {
	s, k := t.sim, &t.strand
	number := k.tasks
	k.tasks++ // it may run before Post returns
	err := t.session.Post(func() {
		switch {
		case t.inHandler:
			s.failf("%s: a task runs within a handler", t)
		case t.state != opened:
			s.failf("%s: a task runs in state %d", t, t.state)
		case number != k.tasksRun:
			s.failf("%s: task %d runs after %d", t, number, k.tasksRun-1)
		}
		k.tasksRun++
		defer t.enter()()
		s.interrupt(t)
		task()
	})
	s.note("%s: Post of task %d: %v", t, number, err)
	if err != nil {
		k.tasks--
	}
	switch {
	case err == nil:
	case errors.Is(err, session.ErrClosed) && t.session.State() == session.Closed, errors.Is(err, session.ErrMailboxFull):
	default:
		s.failf("%s: Post: %v", t, err)
	}
}

// sendNotify sends p with a completion.
func (t *track) sendNotify(p []byte) {
	s, k := t.sim, &t.strand
	n := &note{}
	number := len(k.notes)
	k.notes = append(k.notes, n)
	err := t.send(p, "SendNotify", func() error {
		n.end = len(t.out.direct)
		return t.session.SendNotify(p, func(err error) {
			switch {
			case t.inHandler:
				s.failf("%s: a completion runs within a handler", t)
			case t.state != opened:
				s.failf("%s: a completion runs in state %d", t, t.state)
			case n.done:
				s.failf("%s: completion %d runs twice", t, number)
			case number != k.notesRun:
				s.failf("%s: completion %d runs after %d", t, number, k.notesRun-1)
			case err == nil && t.out.at < n.end && t.out.lost == 0 && len(t.out.undecided) == 0:
				s.failf("%s: completion %d says that %d bytes have left, %d have", t, number, n.end, t.out.at)
			case err != nil && !errors.As(err, new(*session.CloseError)):
				s.failf("%s: completion %d: %v", t, number, err)
			}
			n.done = true
			k.notesRun++
			defer t.enter()()
			s.interrupt(t)
			if t.chance(0.02) {
				t.meddled = true
				s.exit(t, 1)
			}
		})
	})
	if err == nil {
		return
	}
	if n.done || len(k.notes) != number+1 {
		s.failf("%s: completion %d runs although SendNotify failed, or others were taken", t, number)
	}
	k.notes = k.notes[:number]
}

// checkClosed is told of OnClose.
func (k *errands) checkClosed(t *track) {
	if k.tasksRun != k.tasks || k.notesRun != len(k.notes) {
		t.sim.failf("%s: closes after %d of %d tasks and %d of %d completions", t, k.tasksRun, k.tasks, k.notesRun, len(k.notes))
	}
}

// check is what must hold at the end.
func (k *errands) check(t *track) {
	if slices.ContainsFunc(k.notes, func(n *note) bool { return !n.done }) {
		t.sim.failf("%s: %d of %d completions have run", t, k.notesRun, len(k.notes))
	}
}

// flow follows what a FlowWatcher is told.
type flow struct {
	watched bool
	high    bool // what was told last
	times   int
}

// flowHandler also watches the flow.
type flowHandler struct{ simHandler }

// halfOpenFlowHandler does both.
type halfOpenFlowHandler struct{ halfOpenHandler }

// OnBackpressure implements session.FlowWatcher.
func (h flowHandler) OnBackpressure(s *session.Session) { h.flow(s, true) }

// OnWritable implements session.FlowWatcher.
func (h flowHandler) OnWritable(s *session.Session) { h.flow(s, false) }

// OnBackpressure implements session.FlowWatcher.
func (h halfOpenFlowHandler) OnBackpressure(s *session.Session) { h.flow(s, true) }

// OnWritable implements session.FlowWatcher.
func (h halfOpenFlowHandler) OnWritable(s *session.Session) { h.flow(s, false) }

func (h simHandler) flow(s *session.Session, high bool) {
	defer h.sim.tripped()
	t := s.Value().(*track)
	h.sim.note("%s: high water: %v", t, high)
	switch {
	case t.state != opened || t.inHandler:
		h.sim.failf("%s: told of the flow in state %d, handler: %v", t, t.state, t.inHandler)
	case high == t.flow.high:
		h.sim.failf("%s: told again that high water is %v", t, high)
	}
	t.flow.high = high
	t.flow.times++
	defer t.enter()()
	h.sim.interrupt(t)
}

// checkSettled looks, when nobody can do anything, for a change that was not told.
func (f *flow) checkSettled(t *track, queued int) {
	s := t.sim
	if !f.watched || f.high && queued > s.low || !f.high && queued < s.high {
		return
	}
	if st := s.engine.Stats(); st.Waiting == 0 { // no strand waits for a worker
		s.failf("%s: %d bytes are queued, and high water was told as %v", t, queued, f.high)
	}
}
