package session

import (
	"github.com/weirnet/weir/internal/fifo"
)

// SlowPolicy is what becomes of a group's messages for a member that does not keep
// up, when it is behind by more than it may be. The publisher never waits.
type SlowPolicy uint8

// The policies.
const (
	// CloseSlow closes the session for ReasonSlowConsumer. Who stays misses nothing.
	CloseSlow SlowPolicy = iota

	// DropOldest and DropNewest leave out messages. One that has begun to go out is
	// never cut short.
	DropOldest
	DropNewest

	// Conflate keeps only the latest message for each Notice.Key while a member is
	// behind, in the order in which the keys came up. Messages without a key replace
	// each other.
	Conflate
)

// String returns the policy's name, as the -slow flag takes it.
func (p SlowPolicy) String() string {
	switch p {
	case CloseSlow:
		return "close"
	case DropOldest:
		return "drop-oldest"
	case DropNewest:
		return "drop-newest"
	case Conflate:
		return "conflate"
	}
	return "invalid"
}

// A backlog is what a member that is behind has not been given: runs, each with a
// count on its page. With Conflate each run is one message. It belongs to the loop.
type backlog struct {
	runs     fifo.Queue[run]
	messages int
	bytes    int // what is to be written, and runBytes for each run

	places map[string]uint64 // with Conflate: where the key's run is, counted from the first ever
	taken  uint64            // with Conflate: runs taken so far
}

// runBytes is what a run counts for, beside its messages.
const runBytes = 64

// put adds r, with a count of its own.
func (b *backlog) put(r run) {
	r.page.retain()
	b.runs.Put(r)
	b.messages += r.len()
	b.bytes += r.size() + runBytes
}

// replace puts r, one message, where the last one with the same key is, and reports
// true; or adds it.
func (b *backlog) replace(r run, key string) bool {
	if b.places == nil {
		b.places = make(map[string]uint64)
	}
	at, there := b.places[key]
	if !there {
		b.places[key] = b.taken + uint64(b.runs.Len())
		b.put(r)
		return false
	}
	old := &b.runs.All()[at-b.taken]
	r.page.retain()
	b.bytes += r.size() - old.size()
	old.page.release()
	*old = r
	return true
}

// drop takes n messages from the front.
func (b *backlog) drop(n int) {
	b.messages -= n
	for n > 0 {
		front := &b.runs.All()[0]
		if n < front.len() {
			before := front.size()
			front.first += int32(n)
			b.bytes -= before - front.size()
			return
		}
		n -= front.len()
		b.bytes -= front.size() + runBytes
		if b.places != nil {
			delete(b.places, front.label(front.first).key)
		}
		b.taken++
		b.runs.Take().page.release()
	}
}

// shorten drops the oldest messages until no more than limit bytes are left, and
// returns how many.
func (b *backlog) shorten(limit int) (dropped int) {
	for b.bytes > limit && b.messages > 0 {
		b.drop(1)
		dropped++
	}
	return dropped
}

// dropExpired drops what has expired from the front, and returns how many messages.
func (b *backlog) dropExpired(now int64) (dropped int) {
	for b.messages > 0 {
		if front := b.runs.Front(); !front.label(front.first).expired(now) {
			break
		}
		b.drop(1)
		dropped++
	}
	return dropped
}

// trim is shorten from the other end.
func (b *backlog) trim(limit int) (dropped int) {
	for b.bytes > limit && b.messages > 0 {
		last := &b.runs.All()[b.runs.Len()-1]
		before := last.size()
		last.last--
		b.messages--
		dropped++
		if last.first < last.last {
			b.bytes -= before - last.size()
			continue
		}
		b.bytes -= before + runBytes
		last.page.release()
		b.runs.TakeLast()
	}
	return dropped
}

// clear drops everything, and returns how many messages that was.
func (b *backlog) clear() int {
	n := b.messages
	b.drop(n)
	return n
}
