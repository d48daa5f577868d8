package engine

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// What mode Pool adds to an engine: the executor, what loops do when it has no room,
// and the end of both.

// Overload is what happens to sessions with something to do when the executor has
// no room for them.
type Overload uint8

// The policies.
const (
	PauseReads Overload = iota // they wait, and reading stops when they have enough to do
	RunInline                  // their loop runs them, and everything else on it waits
	Reject                     // they are closed for session.ReasonOverload
)

// String returns the policy's name, as the event overload has it.
func (p Overload) String() string {
	switch p {
	case PauseReads:
		return "pause reads"
	case RunInline:
		return "run inline"
	case Reject:
		return "reject"
	}
	return "invalid"
}

// WithOverload chooses what happens when the executor has no room, in mode Pool;
// the default is PauseReads. When the engine ends and there is no worker at all, loops
// run what is left whatever the policy.
func WithOverload(p Overload) Option {
	return func(o *options) {
		if p > Reject {
			o.reject("overload", p, "must be PauseReads, RunInline or Reject")
		}
		o.overload = p
	}
}

const (
	// abandonGrace is how long a shutdown whose time is up waits for a handler to return,
	// or for another to begin.
	abandonGrace = 50 * time.Millisecond

	// abandonLimit is how long it waits for all of them, while they do.
	abandonLimit = time.Second

	// abandonLooks is how many looks there are within the grace. All must have seen the
	// same: a program that was stopped as a whole is not blamed.
	abandonLooks = 10
)

// makeWorkers makes those who run handlers.
func (e *Engine) makeWorkers() (err error) {
	if e.options.mode != Pool {
		return nil
	}
	e.shared.Pooled = true
	e.executor, err = e.options.newWorkers()
	return err
}

// stopWorkers ends what makeWorkers began. Handlers that still run have been
// abandoned, and are not waited for any longer.
func (e *Engine) stopWorkers() {
	e.overseer.stop()
	_, running := e.handlers()
	switch {
	case e.executor == nil:
	case running > 0:
		e.executor.stop(0)
	default:
		e.executor.stop(abandonGrace)
	}
}

// abandonAfter waits for the end of the engine while handlers get on: until for a grace
// none has begun and none has returned, and at most until the limit. The error tells what
// is left then: handlers that run, which find their sessions closed, and what waits behind
// them.
func (e *Engine) abandonAfter(grace, limit time.Duration) error {
	began := time.Now()
	seen := make(progress, len(e.loops))
	seen.note(e)
	for quiet := 0; quiet < abandonLooks && time.Since(began) < limit; quiet++ {
		select {
		case <-e.ended:
			return nil
		case <-time.After(grace / abandonLooks):
		}
		if seen.note(e) || e.count() > 0 { // loops that have yet to close sessions will have handlers begin
			quiet = -1
		}
	}
	e.command(orderAbandon)
	<-e.ended
	waiting, running := e.handlers()
	if waiting+running == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d handlers did not return within %v, and %d sessions wait for theirs",
		ErrAbandoned, running, time.Since(began).Round(time.Millisecond), waiting)
}

// progress is what somebody saw of the handlers last: a mark for each worker, by loop and
// seat.
type progress [][][2]uint64

// note looks at the handlers, and tells whether any has begun or returned since the last
// look.
func (p progress) note(e *Engine) (moved bool) {
	for i, l := range e.loops {
		if l.queue == nil {
			continue
		}
		for n, at := range l.queue.seated(nil) {
			if n == len(p[i]) {
				p[i] = append(p[i], [2]uint64{})
			}
			mark := at.mark(p[i][n])
			moved = moved || mark != p[i][n]
			p[i][n] = mark
		}
	}
	return moved
}

// handlers is how many sessions wait for workers, and the handlers of how many run there.
func (e *Engine) handlers() (waiting, running int) {
	for _, l := range e.loops {
		if l.queue != nil {
			w, r := l.queue.depth()
			waiting, running = waiting+w, running+r
		}
	}
	return waiting, running
}

// handlersRest is told when no handler of the loop's sessions has anything left to
// do. Any goroutine.
func (l *loop) handlersRest() {
	if l.order.Load() != orderRun {
		l.mail.knock()
	}
}

// relieve does what the policy says with sessions that no worker was found for. While
// the engine ends and there is no worker at all, the loop runs them in any case: who
// waits would wait for ever.
func (l *loop) relieve() {
	l.stats.overloads.Add(1)
	waiting, _ := l.queue.depth()
	policy := l.engine.options.overload
	if l.obeyed != orderRun && !l.queue.staffed() {
		policy = RunInline
	}
	l.engine.log.overloaded(policy.String(), waiting)
	switch policy {
	case RunInline:
		for range waiting {
			if s := l.queue.withdraw(); s != nil {
				l.runInline(s)
			}
		}
	case Reject:
		for _, s := range l.queue.each() {
			if c := l.find(s.ID()); c != nil {
				l.settle(c, c.drive().End(session.ReasonOverload, nil, true))
			}
		}
	}
}

// runInline runs what a session's handlers have to do on the loop.
func (l *loop) runInline(s *session.Session) {
	l.broken = interruption{running: s}
	l.serves.Store(s)
	if session.Drive(s, transport.Key{}).Run(&l.engine.shared) {
		l.due = append(l.due, s)
	}
	l.serves.Store(nil)
	l.broken = interruption{}
}

// onWorker tells whether the caller is a handler on one of the engine's workers, and so
// must not wait for them. Only methods that are called rarely ask: it takes some ten
// microseconds.
func (e *Engine) onWorker() bool {
	if e.executor == nil {
		return false
	}
	trace := make([]byte, ownStackBytes)
	trace = trace[:runtime.Stack(trace, false)]
	for _, l := range e.loops {
		if calls(trace, "github.com/weirnet/weir/engine.(*runQueue).drain", unsafe.Pointer(l.queue)) {
			return true
		}
	}
	return false
}
