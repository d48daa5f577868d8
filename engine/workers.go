package engine

import (
	"runtime"
	"strings"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// What mode Pool adds to an engine: the executor, what loops do when it has no room,
// and the end of both.

// abandonGrace is how long a shutdown whose time is up waits for handlers to
// return.
const abandonGrace = 50 * time.Millisecond

// makeWorkers chooses who runs handlers.
func (e *Engine) makeWorkers() (err error) {
	o := &e.options
	switch {
	case o.mode != Pool:
		return nil
	case o.executor != nil:
		e.executor = borrowed{o.executor}
	case o.pool != nil:
		e.executor = newFeeder(o.pool)
	default:
		e.executor, err = newAntsWorkers(o.poolSize)
	}
	e.shared.Pooled = true
	return err
}

// stopWorkers ends what makeWorkers began. Handlers that still run have been
// abandoned, and are not waited for any longer.
func (e *Engine) stopWorkers() {
	e.overseer.stop()
	if e.executor != nil {
		e.executor.stop(abandonGrace)
	}
}

// abandonAfter waits for the end of the engine, and after d without the handlers
// that still run. They find their sessions closed.
func (e *Engine) abandonAfter(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-e.ended:
	case <-timer.C:
		e.command(orderAbandon)
		<-e.ended
	}
}

// handlersRest is told when no handler of the loop's sessions has anything left to
// do. Any goroutine.
func (l *loop) handlersRest() {
	if l.order.Load() != orderRun {
		l.mail.knock()
	}
}

// relieve does what the policy says with sessions that no worker was found for.
func (l *loop) relieve() {
	l.stats.overloads.Add(1)
	switch l.engine.options.overload {
	case RunInline:
		for _, s := range l.queue.withdraw() {
			if session.Drive(s, transport.Key{}).Run(&l.engine.shared) {
				l.due = append(l.due, s)
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

// onWorker tells whether the caller is a handler in mode Pool, of whatever engine.
func onWorker() bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "engine.(*runQueue).drain") {
			return true
		}
		if !more {
			return false
		}
	}
}
