package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// hands are the goroutines of a simulation beside its loops: workers, and users' who may
// have to wait. They run when the scheduler says so: from one moment at which something
// else could happen to the next.
type hands struct {
	sim     *simulation
	list    []*hand
	hired   int   // ever
	current *hand // who runs now; nil: somebody else does
}

// hand is one of them.
type hand struct {
	number  int
	worker  bool // of the engine's, else a user's
	task    func()
	resume  chan struct{}
	yielded chan struct{}
	started bool
	running bool
	over    bool

	until time.Time   // blocks until then
	waits func() bool // tells whether it may go on; nil: it may
	ask   time.Time   // when waits may tell so because of the time; zero: never
	limit time.Time   // when its context ends, in the bubble's time; zero: never by itself
	hangs bool        // does not go on at all until the engine has ended

	// Of a user's that calls what may wait: told when that has not been done and is waited
	// with, and when it is tried again.
	onWait, onRetry func()
}

func (w *hand) String() string {
	if w.worker {
		return fmt.Sprintf("worker %d", w.number)
	}
	return fmt.Sprintf("caller %d", w.number)
}

// hire has somebody do a task.
func (h *hands) hire(worker bool, task func()) *hand {
	h.hired++
	w := &hand{number: h.hired, worker: worker, task: task, resume: make(chan struct{}), yielded: make(chan struct{})}
	h.list = append(h.list, w)
	h.sim.note("%s is hired", w)
	return w
}

// workers counts the engine's.
func (h *hands) workers() (n int) {
	for _, w := range h.list {
		if w.worker {
			n++
		}
	}
	return n
}

// ready are those who could go on.
func (h *hands) ready() (list []*hand) {
	for _, w := range h.list {
		if !w.running && !w.hangs && !h.sim.now.Before(w.until) && (w.waits == nil || w.waits()) {
			list = append(list, w)
		}
	}
	return list
}

// wakes is when the first goes on because of the time; zero if none does.
func (h *hands) wakes() (first time.Time) {
	consider := func(at time.Time) {
		if at.After(h.sim.now) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for _, w := range h.list {
		switch {
		case w.waits == nil:
			consider(w.until)
		case w.limit.IsZero():
			consider(w.ask)
		default:
			consider(w.ask)
			consider(h.sim.now.Add(time.Until(w.limit)))
		}
	}
	return first
}

// waiting is somebody who waits for others, if there is one.
func (h *hands) waiting() *hand {
	if i := slices.IndexFunc(h.list, func(w *hand) bool { return !w.hangs }); i >= 0 {
		return h.list[i]
	}
	return nil
}

// run lets one go on until it yields, or its task has ended.
func (h *hands) run(w *hand) {
	outer := h.current
	h.current, w.running = w, true
	h.sim.note("%s goes on", w)
	if w.started {
		w.resume <- struct{}{}
	} else {
		w.started = true
		go func() {
			defer func() { // the task may end its goroutine
				w.over = true
				w.yielded <- struct{}{}
			}()
			w.task()
		}()
	}
	<-w.yielded
	h.current, w.running = outer, false
	if w.over {
		h.sim.note("%s has done", w)
		h.list = slices.DeleteFunc(h.list, func(other *hand) bool { return other == w })
	}
}

// yield has the one who runs wait until the scheduler lets it go on, and that is not
// before a certain time.
func (h *hands) yield(until time.Time) {
	w := h.current
	h.sim.flushing = nil
	w.until = until
	w.yielded <- struct{}{}
	<-w.resume
}

// dismiss lets all end.
func (h *hands) dismiss() {
	for len(h.list) > 0 {
		h.list[0].hangs = false
		h.run(h.list[0])
	}
}

var errFailed = errors.New("the simulation failed")

// await is how those wait who call what may wait; see inject.Deps.
func (s *simulation) await(ctx context.Context, free <-chan struct{}, retry time.Duration) error {
	w := s.hands.current
	if s.failed {
		return errFailed
	}
	if w == nil {
		s.failf("somebody waits on a loop")
		return errFailed
	}
	again := time.Time{}
	if retry > 0 {
		again = s.now.Add(retry)
	}
	s.note("%s waits", w)
	if w.onWait != nil {
		w.onWait()
	}
	w.ask = again
	w.limit, _ = ctx.Deadline()
	w.waits = func() bool {
		return given(free) || ctx.Err() != nil || !again.IsZero() && !s.now.Before(again)
	}
	s.hands.yield(s.now)
	w.waits, w.ask, w.limit = nil, time.Time{}, time.Time{}
	select {
	case <-free:
	default:
		if s.failed {
			return errFailed
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if w.onRetry != nil {
		w.onRetry()
	}
	return nil
}

// given tells whether a channel has a value, or is closed if it can have none.
func given(free <-chan struct{}) bool {
	if cap(free) > 0 {
		return len(free) > 0
	}
	select {
	case <-free:
		return true
	default:
		return false
	}
}

// crew is an engine.Executor of such hands. In mode inline it has nobody.
type crew struct {
	sim     *simulation
	limit   int     // workers at a time
	refuse  float64 // how often it has no room all the same
	slow    float64 // how often a handler blocks
	blocks  int     // how often one may still do so
	refused int
	late    bool // it refused one when all loops had ended, which nobody asks for again
}

// TrySubmit implements engine.Executor.
func (c *crew) TrySubmit(task func()) bool {
	s := c.sim
	if n := s.hands.workers(); !s.failed && (n >= c.limit || s.chance(c.refuse)) {
		c.refused++
		s.note("no worker: there are %d", n)
		s.crew.late = s.crew.late || s.over()
		return false
	}
	s.hands.hire(true, task)
	return true
}
