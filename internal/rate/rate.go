// Package rate tells whether something happens too often. It is a bucket that is
// filled with so many tokens a second, up to a burst, and from which every event
// takes some. What is remembered is one number: when the bucket will be full if
// nothing more happens (the generic cell rate algorithm's theoretical arrival time).
//
//	full at rest    now ≥ time
//	empty           time - now = how long an empty bucket takes to fill
//	in debt         time - now is more than that
//
// Times are durations since a moment of the caller's, from a clock that does not
// jump. An event's price is rounded down to whole nanoseconds.
package rate

import (
	"sync/atomic"
	"time"
)

// Most is the most that a Limit can be made of: a token a nanosecond.
const Most = 1_000_000_000

// Limit is how much may happen. The zero value is no limit: see Off. It never changes.
type Limit struct {
	perSecond int64
	filling   time.Duration // how long an empty bucket takes to fill
}

// New makes a Limit of tokens per second, and at once: both from 1 to Most.
func New(perSecond, burst int) Limit {
	l := Limit{perSecond: int64(perSecond)}
	l.filling = l.price(burst)
	return l
}

// Off tells whether there is no limit.
func (l Limit) Off() bool { return l.perSecond == 0 }

// price is how long n tokens take to come, n at most Most.
func (l Limit) price(n int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / l.perSecond)
}

// Meter is what has happened, for one goroutine at a time. The zero value is a full
// bucket.
type Meter struct{ full time.Duration }

// Charge takes n tokens, and reports whether that is more than there were. They are
// then owed.
func (m *Meter) Charge(l Limit, now time.Duration, n int) (over bool) {
	m.full = max(m.full, now) + l.price(n)
	return m.full-now > l.filling
}

// Ready is from when on a token is there.
func (m *Meter) Ready(l Limit) time.Duration { return m.full + l.price(1) - l.filling }

// Shared is a Meter for any number of goroutines.
type Shared struct{ full atomic.Int64 }

// Take takes one token. If there is none it takes nothing, and returns from when on
// to try again.
func (s *Shared) Take(l Limit, now time.Duration) (again time.Duration, ok bool) {
	for {
		old := s.full.Load()
		m := Meter{time.Duration(old)}
		if again := m.Ready(l); again > now {
			return again, false
		}
		m.Charge(l, now, 1)
		if s.full.CompareAndSwap(old, int64(m.full)) {
			return 0, true
		}
	}
}

// Return gives back a token that was not used.
func (s *Shared) Return(l Limit) { s.full.Add(-int64(l.price(1))) }
