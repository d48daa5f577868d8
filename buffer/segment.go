package buffer

// The segment: memory and the count of those who own it.

import (
	"sync/atomic"
	"unsafe"
)

// Segment is a piece of memory with a count of its owners.
//
//	 header (64 B)           mem
//	┌──────────────┐        ┌──────────────┬─────────────┬───────────┐
//	│ mem ─────────┼───────▶│ bytes        │ bytes       │ spare     │
//	│ refs 3       │        └──────────────┴─────────────┴───────────┘
//	│ pool         │         ▲ chain A: [0,14)  1 reference
//	│ next (idle)  │         ▲ chain B: [0,14)  1 reference
//	└──────────────┘                         ▲ the loop, which fills the spare
//	                                           room: 1 reference
//
// Each owner holds one reference and gives it up with Release. The last one
// sends header and memory back to the pool together; from then on neither may
// be touched. Only an owner may Retain. Memory seen by more than one owner is
// read-only, except that one of them may write bytes that no other has a view
// of.
type Segment struct {
	mem  []byte
	pool *Pool

	release func()   // adopted memory only: told when nobody needs it any more
	next    *Segment // free list of the pool, while idle
	trace   *trace   // debug mode only

	refs  atomic.Int32
	class int8
}

// Values of Segment.class for memory that goes back to no free list.
const (
	classExact   = -1 // above the largest class: left to the garbage collector
	classAdopted = -2 // belongs to whoever passed it to Adopt
)

// Bytes returns the whole memory of the segment, a view that is good until the
// caller's reference is released. What it holds after Get is undefined.
func (s *Segment) Bytes() []byte {
	if s.trace != nil {
		s.mustLive("Bytes")
	}
	return s.mem[:len(s.mem):len(s.mem)]
}

// Cap returns how many bytes the segment can hold.
func (s *Segment) Cap() int { return len(s.mem) }

// Retain adds a reference. The caller must hold one already.
func (s *Segment) Retain() {
	if s.refs.Add(1) <= 1 {
		s.refs.Add(-1)
		s.misused("Retain")
	}
}

// Release gives up one reference. The last one returns the memory to the pool,
// or calls the function given to Adopt, on the goroutine that released it.
// Releasing more often than retained is a mistake of the program and panics;
// without debug mode it is noticed only while the segment is idle.
func (s *Segment) Release() {
	n := s.refs.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		s.refs.Add(1)
		s.misused("Release")
	}
	s.pool.put(s)
}

// Shared reports whether there is more than one reference. An owner that is
// told false stays the only one until it shares the segment itself.
func (s *Segment) Shared() bool { return s.refs.Load() > 1 }

// Contains reports whether p is a non-empty view into this segment.
func (s *Segment) Contains(p []byte) bool {
	_, ok := s.offset(p)
	return ok
}

// offset returns where in the segment the view p begins.
func (s *Segment) offset(p []byte) (int, bool) {
	if s.trace != nil {
		s.mustLive("Contains")
	}
	if len(p) == 0 || len(p) > len(s.mem) {
		return 0, false
	}
	// Addresses are only compared; no pointer is made from them. The
	// subtraction wraps to a huge number when p lies below the segment.
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p))) - uintptr(unsafe.Pointer(unsafe.SliceData(s.mem)))
	if at > uintptr(len(s.mem)-len(p)) {
		return 0, false
	}
	return int(at), true
}

// extendable reports whether its only owner may write beyond its own view.
// Adopted memory is left as it came: it may be read-only.
func (s *Segment) extendable() bool { return s.class != classAdopted && !s.Shared() }
