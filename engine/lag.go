package engine

import (
	"sync/atomic"
	"time"
)

// lag remembers the longest of a loop's latest turns, without what it slept. Whatever
// became ready during a turn waited for its end, so no event waited longer for the
// loop; what the loop itself waited for a processor is not in it. The loop notes, any
// goroutine may read.
type lag struct {
	second  atomic.Int64 // the second of the last turn, Unix time
	longest atomic.Int64 // turn that ended in it, nanoseconds
	before  atomic.Int64 // the same of the second before
}

// note takes a turn that has just ended.
func (g *lag) note(turn time.Duration, now time.Time) {
	if second := now.Unix(); second != g.second.Load() {
		before := int64(0)
		if second == g.second.Load()+1 {
			before = g.longest.Load()
		}
		g.before.Store(before)
		g.longest.Store(0)
		g.second.Store(second)
	}
	if int64(turn) > g.longest.Load() {
		g.longest.Store(int64(turn))
	}
}

// recent is the longest turn of the present second and the one before.
func (g *lag) recent(now time.Time) time.Duration {
	switch now.Unix() - g.second.Load() {
	case 0:
		return time.Duration(max(g.longest.Load(), g.before.Load()))
	case 1:
		return time.Duration(g.longest.Load())
	}
	return 0
}
