package engine

import (
	"time"
)

// Step 2 of a turn in detail: whether the loop polls, spins or parks.

// spinWorth is how many spins may lie between two events for the next spin to be
// tried. Waking from a park takes as long as one or two of them.
const spinWorth = 4

// wait polls, and parks if there is nothing to do.
func (l *loop) wait() (n int, err error) {
	if len(l.ready) > 0 && !l.braked || len(l.dirty)+len(l.marked) > 0 || l.acceptReady() || !l.mail.empty() || len(l.due) > 0 || l.overloaded.Load() {
		return l.poller.Poll(l.events)
	}
	l.idleAt = l.clock.Now()
	if n, err = l.spin(); n > 0 || err != nil {
		return n, err
	}
	if !l.mail.sleep() {
		return l.poller.Poll(l.events)
	}
	defer l.mail.awake()
	l.stats.parks.Add(1)
	return l.poller.Park(l.events, l.nextExpiry())
}

// turnEnded notes how long the turn took that began then.
func (l *loop) turnEnded(began time.Time) {
	ended := l.now
	if !l.idleAt.IsZero() {
		ended, l.idleAt = l.idleAt, time.Time{}
	}
	l.lag.note(ended.Sub(began), ended)
}

// spin polls for a while instead of parking, if the next event is likely to come
// within that time: the last one came soon, a park's own delay included.
func (l *loop) spin() (n int, err error) {
	window := l.engine.options.spin
	if window == 0 || l.queue != nil && l.queue.busy() || l.gap > spinWorth*window {
		return 0, nil
	}
	for begin := l.clock.Now(); l.clock.Now().Sub(begin) < window; {
		if n, err = l.poller.Poll(l.events); n > 0 || err != nil || !l.mail.empty() {
			return n, err
		}
	}
	return 0, nil
}

// nextExpiry is when a timer is due next; zero if none is.
func (l *loop) nextExpiry() (at time.Time) {
	if t, ok := l.wheel.next(); ok {
		at = l.timeOf(t)
	}
	for _, a := range l.acceptors {
		if !a.retryAt.IsZero() && (at.IsZero() || a.retryAt.Before(at)) {
			at = a.retryAt
		}
	}
	if next := l.departure.next(); !next.IsZero() && (at.IsZero() || next.Before(at)) {
		at = next
	}
	return at
}
