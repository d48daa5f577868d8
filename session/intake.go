package session

import (
	"fmt"
	"time"

	"github.com/weirnet/weir/internal/rate"
	"github.com/weirnet/weir/internal/transport"
)

// How much a peer may send. Bytes are counted when the loop delivers them, messages
// when a handler is about to be shown one. Above a limit the session ends, or, where
// Intake.Throttle says so, it owes the tokens and is throttled until they are there:
// it is not read, and if there were too many messages it is shown none. Its loop ends
// that by a timer.

// quota is what a peer has used of its limits. A session has one from the first thing
// that is counted on. Times are since the engine started; 0: there is no wait.
type quota struct {
	bytes    rate.Meter
	messages rate.Meter
	readAt   time.Duration // no reading until then
	showAt   time.Duration // no messages, and no reading, until then
}

// admitBytes counts n bytes that came, and ends the session if they are too many. It
// reports whether they are to be handled. The caller holds the lock.
func (s *Session) admitBytes(in *transport.Intake, n int) bool {
	q := s.quota()
	return s.charge(in, &in.Bytes, &q.bytes, n, &q.readAt)
}

// admitMessage does the same for one message.
func (s *Session) admitMessage(in *transport.Intake) bool {
	q := s.quota()
	return s.charge(in, &in.Messages, &q.messages, 1, &q.showAt)
}

// charge counts n of what a allows, and has the session wait or end.
func (s *Session) charge(in *transport.Intake, a *transport.Allowance, m *rate.Meter, n int, wait *time.Duration) bool {
	if a.Limit.Off() {
		return true
	}
	now := in.Elapsed()
	over := m.Charge(a.Limit, now, n)
	switch {
	case !in.Throttle && over:
		_ = s.end(ReasonOverLimit, a.Exceeded, 0) // ErrClosed: it is ending, which is what is wanted
		return false
	case in.Throttle && m.Ready(a.Limit) > now:
		if *wait == 0 {
			in.Throttled.Add(1)
		}
		*wait = m.Ready(a.Limit)
	}
	return true
}

// throttled tells whether the loop is to wait before it reads on. Once nothing more
// will come, what is left is handled without.
func (s *Session) throttled() bool {
	return s.extra != nil && s.extra.quota.wait() != 0 && s.flags&failed == 0 && (s.in == nil || s.in.end == nil)
}

// wait is when the next of the waits is over, 0 if there is none.
func (q *quota) wait() time.Duration {
	if q.readAt == 0 || q.showAt == 0 {
		return q.readAt + q.showAt
	}
	return min(q.readAt, q.showAt)
}

// pass ends the waits that are over.
func (q *quota) pass(now time.Duration) {
	if q.readAt <= now {
		q.readAt = 0
	}
	if q.showAt <= now {
		q.showAt = 0
	}
}

func (s *Session) quota() *quota { return &s.more().quota }

// LimitError is the cause of a close for ReasonOverLimit by a limit of the engine's on
// what a peer sends.
type LimitError struct {
	Unit      string // what there was too much of: "bytes" or "messages"
	PerSecond int    // how many may come, in the long run
	Burst     int    // how many may come at once after a rest
}

// Error names the limit and its value.
func (e *LimitError) Error() string {
	return fmt.Sprintf("more than %d %s per second, and %d at once", e.PerSecond, e.Unit, e.Burst)
}

// Is reports whether target is ReasonOverLimit.
func (e *LimitError) Is(target error) bool { return target == error(ReasonOverLimit) }
