package engine

import (
	"time"

	"github.com/weirnet/weir/internal/rate"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Limits on what each peer sends. Package session counts; the loop ends the wait of
// those who are throttled, with the timer that each connection has for its deadlines.

// intakeLimits are options; the zero value is none.
type intakeLimits struct {
	messages allowance
	bytes    allowance
	throttle bool
}

// allowance is one of them; perSecond 0 is none.
type allowance struct{ perSecond, burst int }

// WithMessageRate bounds how many messages per second a peer may send in the long
// run, and how many at once after a rest, both up to a billion. They are counted when
// a handler is about to be shown them: without a codec a message is whatever one read
// returned. What is above ends the session for session.ReasonOverLimit, with a
// *session.LimitError as the cause; see WithThrottle for another way.
//
// What waits while handlers are busy or reading is paused comes at once afterwards:
// the burst should have room for it. With perSecond 0, the default, it is off.
func WithMessageRate(perSecond, burst int) Option {
	return func(o *options) { o.allow("message rate", &o.intake.messages, perSecond, burst) }
}

// WithByteRate does the same for the bytes that a peer sends, which are counted when
// they are read, up to WithReadSize at once.
func WithByteRate(bytesPerSecond, burst int) Option {
	return func(o *options) { o.allow("byte rate", &o.intake.bytes, bytesPerSecond, burst) }
}

// WithThrottle has sessions that are over WithMessageRate or WithByteRate wait until
// they no longer are, instead of ending them: they are not read, so that their peers
// are slowed down, and those with too many messages are not shown what has come. Their
// idle clock stands still meanwhile. The times are kept to within 20 ms, and a burst
// counts as at least what the rate gives in that time. Who is closing does not wait.
func WithThrottle() Option { return func(o *options) { o.intake.throttle = true } }

func (o *options) allow(option string, to *allowance, perSecond, burst int) {
	var limit rate.Limit
	if o.rate(option, &limit, perSecond, burst); !limit.Off() {
		*to = allowance{perSecond, burst}
	} else {
		*to = allowance{}
	}
}

// intake makes what sessions need to know of the limits; nil if there are none.
func (e *Engine) intake() *transport.Intake {
	o := e.options.intake
	if o.messages.perSecond == 0 && o.bytes.perSecond == 0 {
		return nil
	}
	return &transport.Intake{
		Messages: o.messages.limit("messages", o.throttle),
		Bytes:    o.bytes.limit("bytes", o.throttle),
		Throttle: o.throttle,
		Elapsed:  func() time.Duration { return e.deps.Clock.Now().Sub(e.started) },
	}
}

func (a allowance) limit(unit string, throttle bool) transport.Allowance {
	if a.perSecond == 0 {
		return transport.Allowance{}
	}
	burst := a.burst
	if throttle {
		// What a timer is late would be lost otherwise, at each wait.
		burst = max(burst, int(int64(a.perSecond)*int64(2*tickLength)/int64(time.Second)))
	}
	return transport.Allowance{
		Limit:    rate.New(a.perSecond, burst),
		Exceeded: &session.LimitError{Unit: unit, PerSecond: a.perSecond, Burst: a.burst},
	}
}

// throttledUntil is the tick at which a throttled conn has waited long enough.
func (c *conn) throttledUntil() tick { return tick(c.drive().ThrottledUntil()/tickLength) + 1 }
