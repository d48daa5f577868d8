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

// abandonGrace is how long a shutdown whose time is up waits for handlers to
// return.
const abandonGrace = 50 * time.Millisecond

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
	switch {
	case e.executor == nil:
	case e.handlers() > 0:
		e.executor.stop(0)
	default:
		e.executor.stop(abandonGrace)
	}
}

// abandonAfter waits for the end of the engine, and after d without the handlers
// that still run, which the error tells. They find their sessions closed.
func (e *Engine) abandonAfter(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-e.ended:
		return nil
	case <-timer.C:
	}
	left := e.handlers()
	e.command(orderAbandon)
	<-e.ended
	if left == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d handlers did not return within %v", ErrAbandoned, left, d)
}

// handlers is how many run on workers.
func (e *Engine) handlers() (n int) {
	for _, l := range e.loops {
		if l.queue != nil {
			_, running := l.queue.depth()
			n += running
		}
	}
	return n
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
