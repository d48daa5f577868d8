package engine

import "github.com/weirnet/weir/session"

// An engine ends in this order:
//
//  1. command tells the clients, and raises the order of every loop and wakes it
//  2. whoever dials is told; each loop closes its acceptors and sends its sessions away,
//     at once or one after the other: they drain, or are aborted
//  3. a loop ends when no acceptor of any loop is left, and nobody who dials, that could
//     still place a connection on it, and its last session is closed
//  4. the last loop to end waits, a second at most for each, for functions of clients, the
//     Metrics to let go and the Logger to write what is left, and closes the ended channel

// command raises the order of all loops. It never waits.
func (e *Engine) command(order uint32) {
	e.mu.Lock()
	raised := order > e.order
	if raised {
		e.order = order
	}
	e.mu.Unlock()
	if !raised {
		return
	}
	if order == orderDrain {
		e.log.draining(e.count())
	}
	e.clients.stop() // before their sessions are: they must not come back
	for _, l := range e.loops {
		l.raise(order)
	}
	e.endDials()
}

// raise gives the loop an order, unless a higher one has come meanwhile: Stop and
// Close may be called at the same time. Any goroutine.
func (l *loop) raise(order uint32) {
	for old := l.order.Load(); old < order; old = l.order.Load() {
		if l.order.CompareAndSwap(old, order) {
			l.mail.knock()
		}
	}
}

// fail ends the engine because it cannot go on.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	first := e.failure == nil
	if first {
		e.failure = err
	}
	e.mu.Unlock()
	if first {
		e.log.failed(err)
		e.command(orderAbort)
	}
}

// result is nil, or why the engine stopped by itself.
func (e *Engine) result() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failure
}

// count returns how many sessions are there.
func (e *Engine) count() (n int) {
	for _, l := range e.loops {
		n += int(l.live.Load())
	}
	return n
}

// acceptorEnded counts an acceptor out; after the last one loops may end.
func (e *Engine) acceptorEnded() {
	if e.openAcceptors.Add(-1) == 0 {
		for _, l := range e.loops {
			l.mail.knock()
		}
	}
}

// descriptorFreed has acceptors that lack descriptors try again. On any loop.
func (e *Engine) descriptorFreed() {
	if e.pausedAcceptors.Load() == 0 {
		return
	}
	for _, l := range e.loops {
		l.askAcceptors()
	}
}

// obey carries out an order. On the loop.
func (l *loop) obey(order uint32) {
	l.obeyed = order
	for _, a := range l.acceptors {
		a.close()
	}
	if order == orderDrain && l.engine.options.spread > 0 {
		l.depart()
		return
	}
	l.departure = departure{}
	for slot := range l.slots.count() {
		if c := l.slots.at(slot); c.session.Load() != nil && c.flags&(fresh|gone) == 0 {
			l.sendAway(c)
		}
	}
}

// sendAway ends a session because the engine ends. If it may drain, it is first given what
// was sent to it before that by way of its loop, which may not have been told yet.
func (l *loop) sendAway(c *conn) {
	now := l.obeyed >= orderAbort
	if !now {
		l.caster.workOff()
		c.drive().Collect()
	}
	l.settle(c, c.drive().End(session.ReasonShutdown, nil, now))
}

// finished tells whether the loop may end.
func (l *loop) finished() bool {
	return l.obeyed != orderRun && l.engine.openAcceptors.Load() == 0 && l.engine.placing.Load() == 0 &&
		l.live.Load() == 0 && l.mail.conns.Load() == nil && l.mail.errands.Empty() &&
		(l.queue == nil || len(l.due) == 0 && (!l.queue.busy() || l.obeyed == orderAbandon && l.queue.staffed()))
}

// end releases what the loop owns. Counts on descriptors that are still held are
// released by their holders.
func (l *loop) end() {
	for _, task := range l.mail.seal() {
		l.runTask(task)
	}
	l.engine.shared.Cork.Flush()
	l.mail.doErrands()
	l.discard()
}

// discard releases poller and buffers.
func (l *loop) discard() {
	_ = l.poller.Close() // nothing to be done about it
	l.segment.Release()
}

// loopEnded counts a loop out; the last one ends the engine.
func (e *Engine) loopEnded() {
	e.mu.Lock()
	e.running--
	last := e.running == 0
	e.mu.Unlock()
	if last {
		e.groups.Disconnect()
		e.stopWorkers()
		e.clients.await()
		e.detachMetrics()
		e.log.stats(e.Stats())
		e.log.stop()
		close(e.ended)
	}
}

// runTask runs a task that somebody posted; a panic ends the task only.
func (l *loop) runTask(task func()) {
	if !l.engine.options.crash {
		defer l.engine.log.recoverTask()
	}
	task()
}

// onLoop tells whether the caller runs on one of the engine's loops, and so must
// not wait for them. Only methods that are called rarely ask.
func (e *Engine) onLoop() bool {
	id := goroutineID()
	for _, l := range e.loops {
		if l.goid.Load() == id {
			return true
		}
	}
	return false
}
