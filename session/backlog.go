package session

import (
	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/transport"
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
	bytes    int // what the runs cost, and runBytes for each

	held   int    // memory of the pages that the runs may lie in, bytes
	latest uint64 // number of the last page that was counted; 0 for none

	places map[string]uint64 // with Conflate: where the key's run is, counted from the first ever
	taken  uint64            // with Conflate: runs taken so far
}

// runBytes is what a run counts for, beside its messages.
const runBytes = 64

// keyCost is what a key counts for: what is long of it. A short one is in runBytes.
func keyCost(key string) int { return max(len(key)-16, 0) }

// put adds r.
func (b *backlog) put(r run) {
	b.messages += r.len()
	b.hold(r.page)
	b.push(r)
}

// push adds r to the last run, or makes another one, with a count of its own.
func (b *backlog) push(r run) {
	if n := b.runs.Len(); n > 0 && b.places == nil {
		if last := &b.runs.All()[n-1]; last.page == r.page && last.last == r.first {
			before := last.cost()
			last.last = r.last
			last.labelled = last.labelled || r.labelled
			b.bytes += last.cost() - before
			return
		}
	}
	r.page.retain()
	b.runs.Put(r)
	b.bytes += r.cost() + runBytes
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
		b.bytes += keyCost(key)
		return false
	}
	old := &b.runs.All()[at-b.taken]
	b.hold(r.page)
	r.page.retain()
	b.bytes += r.cost() - old.cost()
	old.page.release()
	*old = r
	return true
}

// hold counts the memory of a page that a run lies in: they come in the order in which
// their stream began them.
func (b *backlog) hold(p *page) {
	if p.number != b.latest {
		b.held += p.segment.Cap()
		b.latest = p.number
	}
}

// letGo no longer counts the memory of the page that r, which was first or last, lies
// in, if next to it was the last run there. With Conflate nobody knows.
func (b *backlog) letGo(r run, next func() run) {
	switch {
	case b.runs.Len() == 0:
		b.held, b.latest = 0, 0
	case b.places == nil && next().page != r.page:
		b.held -= r.page.segment.Cap()
		b.latest = b.last().page.number
	}
	r.page.release()
}

func (b *backlog) last() run { return b.runs.All()[b.runs.Len()-1] }

// drop takes n messages from the front.
func (b *backlog) drop(n int) {
	b.messages -= n
	for n > 0 {
		front := &b.runs.All()[0]
		before := front.cost()
		if n < front.len() {
			front.first += int32(n)
			b.bytes -= before - front.cost()
			return
		}
		n -= front.len()
		b.bytes -= before + runBytes
		if b.places != nil {
			key := front.label(front.first).key
			delete(b.places, key)
			b.bytes -= keyCost(key)
		}
		b.taken++
		b.letGo(b.runs.Take(), b.runs.Front)
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
		before := last.cost()
		b.messages--
		dropped++
		if last.len() > 1 {
			last.last--
			b.bytes -= before - last.cost()
			continue
		}
		b.bytes -= before + runBytes
		b.letGo(b.runs.TakeLast(), b.last)
	}
	return dropped
}

// clear drops everything, and returns how many messages that was.
func (b *backlog) clear() int {
	n := b.messages
	b.drop(n)
	return n
}

// spareBytes is how much memory a backlog may hold that nobody needs, beside twice what
// it counts, and beside the page that its stream fills.
const spareBytes = 16 << 10

// sparse tells whether much more memory is held than needed: most of what lies in the
// pages was replaced, or was for others.
func (b *backlog) sparse() bool {
	return b.runs.Len() > 0 && b.held-b.last().page.segment.Cap() > 2*b.bytes+spareBytes
}

// compact moves all messages to pages of their own. It happens only when the stream has
// taken at least as much memory since the last time.
func (b *backlog) compact(shared *transport.Shared) {
	old := b.runs
	b.runs, b.bytes, b.held, b.latest = fifo.Queue[run]{}, 0, 0, 0
	left := 0
	for _, r := range old.All() {
		left += r.cost()
	}
	var p *page
	for _, r := range old.All() {
		for i := r.first; i < r.last; i++ {
			one := run{r.page, i, i + 1, r.labelled}
			if p == nil || !p.fits(one.size()) {
				size := max(one.size(), min(left, pageConflate))
				if p != nil {
					p.release()
				}
				p = newPage(shared, size, min(size, pageMax)/perMessage+1)
				b.held += p.segment.Cap()
			}
			left -= one.cost()
			n := one.label(i)
			p.write(one.bytes())
			p.end(label{expires: n.expires, key: n.key})
			b.push(run{p, int32(p.count) - 1, int32(p.count), n.key != "" || n.expires != 0})
			if b.places != nil {
				b.bytes += keyCost(n.key)
			}
		}
		r.page.release()
	}
	p.release()
}
