package engine

import (
	"time"

	"github.com/weirnet/weir/internal/transport"
)

// Heartbeats: whether peers that say nothing are still there. Each is one more deadline
// of its conn's timer: receiving writes a tick and touches no timer, so a busy session
// costs nothing.
//
//	received ── interval ── OnPing ── interval ── OnPing … ── interval ── closed
//	         └──────────────────── missed intervals ─────────────────────┘

// missedMost is the most intervals that may be missed.
const missedMost = 100

// WithHeartbeat sets after how long a silent peer is asked to say something, for sessions
// whose handler is a session.Pinger, accepted and dialled ones alike. When nothing has been
// received for an interval OnPing is called, and again after each further one; when that
// was so for missed intervals in a row, from 2 to 100, the session is closed at once for
// session.ReasonHeartbeat. So with 2, the default, a peer that dies is noticed two intervals
// after it was heard last. Each interval is kept to within 20 ms.
//
// While reading is paused, by the user or because output is above high water, the time
// stands still, and begins anew when it goes on; WithStallTimeout is in charge meanwhile. An
// interval in which OnPing could not be called, because a handler of the session did not
// return, does not count. An interval of 0 switches heartbeats off; the default is 15 s.
func WithHeartbeat(interval time.Duration, missed int) Option {
	return func(o *options) {
		o.duration("heartbeat", &o.heartbeat, interval, deadlineMin, true)
		if missed < 2 || missed > missedMost {
			o.reject("heartbeat", missed, "must miss from 2 to 100 intervals")
		}
		o.missed = missed
	}
}

// watchHeart begins or ends c's heartbeat, as its session's status says.
func (l *loop) watchHeart(c *conn, st transport.Status) {
	on := st&transport.Beats != 0 && l.engine.options.heartbeat > 0
	if on == (c.flags&beating != 0) {
		return
	}
	c.flags ^= beating
	if on {
		c.beatAt, c.beats = l.tickOf(l.now), 0
		l.schedule(c)
	}
}

// beat acts on an interval in which nothing was received. The next one begins now, not
// when this one should have ended: a process that was stopped as a whole must ask before
// it concludes anything.
func (l *loop) beat(c *conn) {
	c.beatAt = l.tickOf(l.now)
	switch driver := c.drive(); {
	case driver.Pinging(): // the peer has not been asked yet
	case int(c.beats)+1 == l.engine.options.missed:
		l.settle(c, driver.Silent())
	default:
		c.beats++
		l.stats.pings.Add(1)
		l.settle(c, driver.Ping())
	}
	l.schedule(c)
}
