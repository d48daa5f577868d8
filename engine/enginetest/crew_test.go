package enginetest

import (
	"fmt"
	"time"
)

// crew is an engine.Executor whose workers run when the scheduler says so: from one
// moment at which something else could happen to the next. In mode inline it has nobody.
type crew struct {
	sim     *simulation
	limit   int     // workers at a time
	refuse  float64 // how often it has no room all the same
	slow    float64 // how often a handler blocks
	blocks  int     // how often one may still do so
	workers []*worker
	hired   int // ever
	refused int
	current *worker // who runs now; nil: somebody else does
}

// worker is a goroutine that runs a task.
type worker struct {
	number  int
	task    func()
	resume  chan struct{}
	yielded chan struct{}
	started bool
	running bool
	over    bool
	until   time.Time // blocks until then
}

func (w *worker) String() string { return fmt.Sprintf("worker %d", w.number) }

// TrySubmit implements engine.Executor.
func (c *crew) TrySubmit(task func()) bool {
	s := c.sim
	if !s.failed && (len(c.workers) >= c.limit || s.chance(c.refuse)) {
		c.refused++
		s.note("no worker: there are %d", len(c.workers))
		return false
	}
	c.hired++
	w := &worker{number: c.hired, task: task, resume: make(chan struct{}), yielded: make(chan struct{})}
	c.workers = append(c.workers, w)
	s.note("%s is hired", w)
	return true
}

// ready are those who could go on.
func (c *crew) ready() (list []*worker) {
	for _, w := range c.workers {
		if !w.running && !c.sim.now.Before(w.until) {
			list = append(list, w)
		}
	}
	return list
}

// wakes is when the first who blocks goes on; zero if none does.
func (c *crew) wakes() (first time.Time) {
	for _, w := range c.workers {
		if w.until.After(c.sim.now) && (first.IsZero() || w.until.Before(first)) {
			first = w.until
		}
	}
	return first
}

// busy tells whether anybody is in the middle of something.
func (c *crew) busy() bool { return len(c.workers) > 0 }

// run lets a worker go on until it yields, or its task has ended.
func (c *crew) run(w *worker) {
	outer := c.current
	c.current, w.running = w, true
	c.sim.note("%s goes on", w)
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
	c.current, w.running = outer, false
	if w.over {
		c.sim.note("%s has done", w)
		for i, other := range c.workers {
			if other == w {
				c.workers = append(c.workers[:i:i], c.workers[i+1:]...)
				break
			}
		}
	}
}

// yield has the worker that runs wait until the scheduler lets it go on, and that is not
// before a certain time.
func (c *crew) yield(until time.Time) {
	w := c.current
	w.until = until
	w.yielded <- struct{}{}
	<-w.resume
}

// overseer looks after workers, as the engine's does in real time.
type overseer struct {
	sim  *simulation
	look func() (again bool)
	at   time.Time // of the next look; zero: when roused
}

// overseerTick is the time between two looks.
const overseerTick = time.Millisecond

// take is what the engine is given to be overseen by.
func (o *overseer) take(look func() (again bool)) (rouse func()) {
	o.look = look
	return func() {
		if o.at.IsZero() {
			o.at = o.sim.now.Add(overseerTick)
		}
	}
}

func (o *overseer) String() string { return "" }

func (o *overseer) ready() bool { return !o.wakes().IsZero() && !o.sim.now.Before(o.at) }

func (o *overseer) wakes() time.Time {
	if o.sim.over() {
		return time.Time{}
	}
	return o.at
}

func (o *overseer) step() {
	o.sim.note("the overseer looks")
	o.at = time.Time{}
	if o.look() {
		o.at = o.sim.now.Add(overseerTick)
	}
}
