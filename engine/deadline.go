package engine

import (
	"time"

	"github.com/weirnet/weir/session"
)

// A conn has one timer for all its deadlines. Activity does not touch it: when
// it fires, the deadlines are looked at, and the timer is set for the next. Only
// a deadline that comes sooner than the timer moves it.

// deadline acts on the deadline that has passed, if one has.
func (l *loop) deadline(c *conn) {
	l.noticeSent(c)
	if l.engine.shared.Pooled && c.drive().Busy() {
		defer l.timeFrame(c) // what has come is cut when the handlers of before have returned
	}
	due, why, ok := l.nextDeadline(c)
	if !ok {
		return
	}
	unread := why == session.ReasonFirstMessage && c.flags&readable != 0 // as after a pause
	if unread || int32(due-l.tickOf(l.now)) > 0 {
		l.wheel.set(c.slot(), due)
		return
	}
	switch why {
	case session.ReasonNone: // the peer did not answer our FIN
		l.mark(c)
	case session.ReasonOverLimit: // the peer may send again
		l.settle(c, c.drive().Unthrottle(l.elapsed()))
		l.schedule(c) // it may still have to wait, for its peer to read
	case session.ReasonHeartbeat:
		l.beat(c)
	case session.ReasonSlowConsumer:
		l.settle(c, c.drive().End(why, nil, true))
	default:
		if why == session.ReasonLifetime {
			c.flags |= expired
		}
		l.settle(c, c.drive().End(why, nil, false))
		l.schedule(c) // what is queued must still go out in time
	}
}

// schedule sets the timer, unless it fires soon enough anyway.
func (l *loop) schedule(c *conn) {
	due, _, ok := l.nextDeadline(c)
	if ok && (!c.timer.isSet() || int32(due-c.timer.due) < 0) {
		l.wheel.set(c.slot(), due)
	}
}

// timeFrame sees to it that the deadline of a frame is looked at, if what was received
// is the beginning of one: nobody knows yet where handlers run on workers. So a session
// that receives has a timer that is set anew at most once in each such time.
func (l *loop) timeFrame(c *conn) {
	if l.engine.options.frame == 0 || c.flags&(marked|ending) != 0 {
		return
	}
	if !l.engine.shared.Pooled && !c.drive().Framed() { // a worker may be about to set the codec
		return
	}
	due := l.tickOf(l.now) + ticks(l.engine.options.frame)
	if !c.timer.isSet() || int32(due-c.timer.due) < 0 {
		l.wheel.set(c.slot(), due)
	}
}

// noticeSent takes what others have sent since the last look as activity, and
// handlers at work.
func (l *loop) noticeSent(c *conn) {
	if c.flags&(stuck|lingering) != 0 {
		return
	}
	if sent := uint32(c.drive().Progress()); sent != c.sentSeen || c.drive().Busy() {
		c.sentSeen = sent
		c.activeAt = l.tickOf(l.now)
	}
}

// nextDeadline returns the deadline that comes first, and what it means.
func (l *loop) nextDeadline(c *conn) (due tick, why session.Reason, ok bool) {
	o := &l.engine.options
	consider := func(since tick, after time.Duration, reason session.Reason) {
		if after == 0 {
			return
		}
		at := since + ticks(after)
		if !ok || int32(at-due) < 0 {
			due, why, ok = at, reason, true
		}
	}
	switch {
	case c.flags&marked != 0:
		return 0, 0, false
	case c.flags&lingering != 0:
		consider(c.waitingAt, o.linger, session.ReasonNone)
		return due, why, ok
	case c.flags&stuck != 0:
		patience := o.stall
		if patience == 0 && c.flags&ending != 0 {
			patience = o.linger // a peer that never reads must not keep a closed session
		}
		consider(c.waitingAt, patience, session.ReasonSlowConsumer)
	case c.flags&ending != 0:
		return 0, 0, false // somebody is just writing the rest
	case c.flags&paused != 0: // nobody waits for input
	default:
		if c.flags&received == 0 {
			consider(c.openedAt, o.firstMessage, session.ReasonFirstMessage)
		}
		consider(c.activeAt, o.idle, session.ReasonIdle)
		if o.frame != 0 && c.drive().Framed() {
			if since, ok := c.drive().FrameSince(); ok {
				consider(tick(since), o.frame, session.ReasonFrameTimeout)
			}
		}
	}
	if c.flags&(beating|paused) == beating {
		consider(c.beatAt, o.heartbeat, session.ReasonHeartbeat)
	}
	if c.flags&throttled != 0 {
		if at := c.throttledUntil(); !ok || int32(at-due) < 0 {
			due, why, ok = at, session.ReasonOverLimit, true
		}
	}
	if c.flags&(ending|behind|expired) == 0 {
		consider(c.openedAt, o.lifetime, session.ReasonLifetime)
	}
	return due, why, ok
}

// elapsed is this turn's time since the engine started, which no clock that is set
// changes.
func (l *loop) elapsed() time.Duration { return l.now.Sub(l.engine.started) }

// tickOf is the tick that has begun at t.
func (l *loop) tickOf(t time.Time) tick { return tick(t.Sub(l.engine.started) / tickLength) }

// timeOf is when a tick begins, after now.
func (l *loop) timeOf(at tick) time.Time {
	wait := int32(at - l.tickOf(l.now))
	begun := l.now.Sub(l.engine.started) / tickLength * tickLength
	return l.engine.started.Add(begun + time.Duration(wait)*tickLength)
}

// maxWait is the longest that a deadline lies ahead, 124 days; longer times count
// as that. It is well below half of what a tick counts to, so that differences
// have the right sign.
const maxWait = 1 << 30

// ticks is how many ticks must begin before d, which is positive, has certainly
// passed.
func ticks(d time.Duration) tick {
	return tick(min((d-1)/tickLength+2, maxWait))
}
