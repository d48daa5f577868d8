package session

import (
	"sync/atomic"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session/frame"
)

// A page is memory in which messages to a group lie one behind the other, as they
// go on the wire:
//
//	segment ┌─────────┬──────────────┬──────┬─ ─ ─ ─
//	        │ 0       │ 1            │ 2    │ room
//	        └─────────┴──────────────┴──────┴─ ─ ─ ─
//	ends              ▲              ▲      ▲
//
// Publishers write it, one after the other, under the room's lock. Loops read the
// messages they were told of, without a lock: these do not change any more, and the
// slices never grow. The page is counted: by its stream while it is being filled, by
// each run in a queue and by each that a member is behind by.
type page struct {
	shared  *transport.Shared
	number  uint64 // which of its stream's it is; 0 is a member's own
	segment *buffer.Segment
	ends    []int32 // of each message; fixed length
	labels  []label // of each; made when the first message needs one
	refs    atomic.Int32

	// The publishers'.
	count int // messages
	used  int // bytes
}

// label is what a message has besides its bytes. The zero label says nothing.
type label struct {
	except  *membership // who does not get it
	expires int64       // Unix nanoseconds; 0 is never
	key     string      // of the value that it replaces
}

func (n label) expired(now int64) bool { return n.expires != 0 && n.expires <= now }

const (
	// pageMin and pageMax bound the memory of a page, bytes. One message may be larger.
	pageMin = 1 << 10
	pageMax = 256 << 10 // what one system call takes

	// pageConflate is pageMax where a member may need a single message of each page.
	pageConflate = 8 << 10

	// noticeMax is the largest message that a group takes, bytes.
	noticeMax = 1 << 30

	// perMessage is how many bytes of a page there are for each message that it can
	// have: small ones fill it before its memory is full.
	perMessage = 32
)

// tooLarge is the error for a message of n bytes.
func tooLarge(n int) error {
	return &frame.Error{Err: frame.ErrTooLarge, Length: uint64(n), Limit: noticeMax}
}

// newPage returns a page for at least n bytes and as many messages, with one count, the
// caller's.
func newPage(shared *transport.Shared, n, messages int) *page {
	p, _ := shared.Pages.Get().(*page)
	if p == nil {
		p = &page{}
	}
	p.shared, p.segment, p.number = shared, shared.Pool.Get(n), 0
	if cap(p.ends) < messages {
		p.ends = make([]int32, messages)
	} else {
		p.ends = p.ends[:messages]
	}
	p.refs.Store(1)
	return p
}

// fits tells whether a message of n bytes may be added.
func (p *page) fits(n int) bool {
	return n <= p.segment.Cap()-p.used && p.count < len(p.ends)
}

// end closes the message that was written up to used, and has n.
func (p *page) end(n label) {
	p.ends[p.count] = int32(p.used)
	if n != (label{}) {
		if len(p.labels) < len(p.ends) {
			p.labels = make([]label, len(p.ends)) // nobody reads the others'
		}
		p.labels[p.count] = n
	}
	p.count++
}

// write appends b to the message that is being written.
func (p *page) write(b []byte) { p.used += copy(p.segment.Bytes()[p.used:], b) }

func (p *page) retain() { p.refs.Add(1) }

func (p *page) release() {
	if p.refs.Add(-1) > 0 {
		return
	}
	p.segment.Release()
	clear(p.labels)
	p.segment, p.count, p.used = nil, 0, 0
	p.shared.Pages.Put(p)
}

// run is some messages of a page that follow each other: first up to last,
// exclusive. Whoever keeps one for long has a count on the page.
type run struct {
	page        *page
	first, last int32
	labelled    bool // some of them have labels
}

func (r run) len() int { return int(r.last - r.first) }

// start is where message i of the page begins.
func (p *page) start(i int32) int32 {
	if i == 0 {
		return 0
	}
	return p.ends[i-1]
}

// bytes returns them as they go on the wire, good while the page is counted.
func (r run) bytes() []byte {
	from, to := r.page.start(r.first), r.page.ends[r.last-1]
	return r.page.segment.Bytes()[from:to:to]
}

// size is how many bytes they have.
func (r run) size() int { return int(r.page.ends[r.last-1] - r.page.start(r.first)) }

// cost is what they take of a page, bytes.
func (r run) cost() int { return max(r.size(), perMessage*r.len()) }

// label returns what message i of the page has besides its bytes.
func (r run) label(i int32) label {
	if !r.labelled {
		return label{}
	}
	return r.page.labels[i]
}

// each calls f with the runs of r that keep returns true for.
func (r run) each(keep func(label) bool, f func(run)) {
	from := r.first
	for i := r.first; i < r.last; i++ {
		if keep(r.label(i)) {
			continue
		}
		if from < i {
			f(run{r.page, from, i, r.labelled})
		}
		from = i + 1
	}
	if from < r.last {
		f(run{r.page, from, r.last, r.labelled})
	}
}

// split finds the message that byte n of the run lies in: it returns how many
// messages end at or before it, and what is missing of the one that has begun.
func (r run) split(n int) (whole int, rest []byte) {
	at := r.page.start(r.first) + int32(n)
	low, high := r.first, r.last // the first that ends behind at lies here
	for low < high {
		if middle := (low + high) / 2; r.page.ends[middle] <= at {
			low = middle + 1
		} else {
			high = middle
		}
	}
	whole = int(low - r.first)
	if low < r.last && at > r.page.start(low) {
		end := r.page.ends[low]
		return whole, r.page.segment.Bytes()[at:end:end]
	}
	return whole, nil
}

// until returns the messages of r before the first that has expired.
func (r run) until(now int64) run {
	for i := r.first; r.labelled && i < r.last; i++ {
		if r.page.labels[i].expired(now) {
			r.last = i
		}
	}
	return r
}
