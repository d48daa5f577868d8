package buffer

// The pool: size classes, free lists, and the books.

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Size classes are the powers of two from 256 B to 256 KiB. Below 256 B the
// header and the lists would weigh as much as the memory; 256 KiB is what one
// system call moves at most.
const (
	minClassShift = 8
	maxClassShift = 18
	classCount    = maxClassShift - minClassShift + 1

	maxClassBytes = 1 << maxClassShift
)

// defaultMaxIdleBytes keeps 128 segments of 64 KiB, twice what a loop may have
// pinned, and is small beside any server.
const defaultMaxIdleBytes = 8 << 20

// sideShare limits bare headers, and blocks of chains, to one part in this many
// of MaxIdleBytes each: by default 16384 headers and 5041 blocks. They are
// never evicted, so they must not be able to push all memory out.
const sideShare = 8

const (
	headerBytes = int64(unsafe.Sizeof(Segment{}))
	blockBytes  = int64(unsafe.Sizeof(block{}))
)

// Config says how a Pool behaves. The zero value is ready for use.
type Config struct {
	// MaxIdleBytes is how many bytes are kept for reuse at most, over all size
	// classes. 0 means 8 MiB; below 0 nothing is kept.
	MaxIdleBytes int

	// Debug poisons released memory and keeps stacks; see the package comment.
	// It costs some microseconds and allocations per segment.
	Debug bool

	// Panicked is told when a function that was given to Adopt panics, on the goroutine
	// that released the memory; the panic then goes no further. If it is nil, it does.
	Panicked func(value any)
}

// Stats are the books of a Pool at one moment.
type Stats struct {
	Allocated int64 // bytes of segments ever allocated by the pool
	InUse     int64 // bytes of live segments, adopted ones too
	Peak      int64 // the highest InUse so far
	Idle      int64 // bytes kept for reuse: segments, bare headers, blocks of chains
	Segments  int64 // live segments
	Gets      int64 // calls of Get so far
	Hits      int64 // those that were served from idle memory
}

// Pool hands out segments and takes them back. Any goroutine may call it; it
// starts none of its own.
//
//	free[0]   256 B   ▶ s ▶ s ▶ s        idle segments, last in first out: the
//	free[1]   512 B   ▶ s                one taken next is the warmest
//	  ...
//	free[10]  256 KiB ▶ s
//	headers           ▶ h ▶ h            for Adopt, which brings its own memory
//	blocks            ▶ b ▶ b ▶ b        for chains
//
// One lock guards it all. A lock per class would not help, because a busy
// engine asks for the same one or two classes from every loop; and sync.Pool
// can keep neither an exact count nor a bound in bytes. The lock is held for
// some nanoseconds and never while memory is allocated or poisoned, or while
// somebody else's code runs. Loops that still meet at it can have a pool each:
// a segment always returns to the pool that made it.
type Pool struct {
	maxIdle  int64
	debug    bool
	panicked func(value any) // may be nil

	taken atomic.Int64 // see Taken; written with the lock

	mu      sync.Mutex
	free    [classCount]freeList
	headers freeList
	blocks  *block
	nblocks int64
	stats   Stats
	adopted int64 // bytes of live segments that others brought

	live map[*Segment]struct{} // debug mode only
	born uint64                // debug mode only: numbers segments by age
}

// freeList is a stack of idle segments, linked through Segment.next.
type freeList struct {
	top   *Segment
	count int64
}

func (l *freeList) push(s *Segment) {
	s.next = l.top
	l.top = s
	l.count++
}

func (l *freeList) pop() *Segment {
	s := l.top
	if s != nil {
		l.top = s.next
		s.next = nil
		l.count--
	}
	return s
}

// NewPool returns an empty pool.
func NewPool(c Config) *Pool {
	p := &Pool{maxIdle: int64(c.MaxIdleBytes), debug: c.Debug || debugBuild, panicked: c.Panicked}
	switch {
	case c.MaxIdleBytes == 0:
		p.maxIdle = defaultMaxIdleBytes
	case c.MaxIdleBytes < 0:
		p.maxIdle = 0
	}
	if p.debug {
		p.live = make(map[*Segment]struct{})
	}
	return p
}

// Get returns a segment of at least n bytes with one reference, the caller's.
// Its contents are undefined. Above the largest class (256 KiB) it is allocated
// with exactly n bytes and not kept after its last Release. A negative n panics.
func (p *Pool) Get(n int) *Segment {
	if n < 0 {
		panic(fmt.Sprintf("buffer: Get of %d bytes", n))
	}
	class, size := classOf(n)

	p.mu.Lock()
	var s *Segment
	if class >= 0 {
		s = p.free[class].pop()
	}
	if s != nil {
		p.stats.Idle -= int64(size)
		p.stats.Hits++
	} else {
		p.mu.Unlock()
		s = &Segment{mem: make([]byte, size), pool: p, class: int8(class)}
		p.mu.Lock()
		p.stats.Allocated += int64(size)
		p.taken.Add(int64(size))
	}
	p.stats.Gets++
	p.enter(int64(size))
	p.mu.Unlock()

	if p.debug {
		s = p.inspect(s)
		p.track(s)
	}
	s.refs.Store(1)
	if debugBuild {
		p.checkInvariants()
	}
	return s
}

// Adopt makes a segment of b without copying. The memory belongs to the segment
// until the last Release, which calls release (it may be nil) exactly once, on
// the goroutine that released. The segment has one reference, the caller's.
// The pool never writes to b.
func (p *Pool) Adopt(b []byte, release func()) *Segment {
	p.mu.Lock()
	s := p.headers.pop()
	if s != nil {
		p.stats.Idle -= headerBytes
	} else {
		p.mu.Unlock()
		s = &Segment{pool: p, class: classAdopted}
		p.mu.Lock()
	}
	p.enter(int64(len(b)))
	p.adopted += int64(len(b))
	p.mu.Unlock()

	s.mem = b[:len(b):len(b)]
	s.release = release
	if p.debug {
		p.track(s)
	}
	s.refs.Store(1)
	if debugBuild {
		p.checkInvariants()
	}
	return s
}

// Stats returns the books as they are now.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// put takes back a segment that has no reference left.
func (p *Pool) put(s *Segment) {
	size := int64(len(s.mem))
	release := s.release
	if p.debug {
		p.bury(s)
	}
	if s.class == classAdopted {
		s.mem, s.release = nil, nil
	}

	p.mu.Lock()
	p.stats.InUse -= size
	p.stats.Segments--
	if s.class == classAdopted {
		p.adopted -= size
	}
	switch {
	case s.class >= 0:
		if p.makeRoom(int(s.class), size) {
			p.free[s.class].push(s)
			p.stats.Idle += size
		}
	case s.class == classAdopted && !p.debug:
		if (p.headers.count+1)*headerBytes <= p.maxIdle/sideShare && p.makeRoom(classAdopted, headerBytes) {
			p.headers.push(s)
			p.stats.Idle += headerBytes
		}
	}
	p.mu.Unlock()

	if debugBuild {
		p.checkInvariants()
	}
	if release != nil {
		p.call(release)
	}
}

// call calls a function that was given to Adopt: whoever released may be in the middle of
// something that he must finish.
func (p *Pool) call(release func()) {
	if p.panicked != nil {
		defer func() {
			if value := recover(); value != nil {
				p.panicked(value)
			}
		}()
	}
	release()
}

// enter counts a segment that goes out. The lock is held.
func (p *Pool) enter(size int64) {
	p.stats.Segments++
	p.stats.InUse += size
	p.stats.Peak = max(p.stats.Peak, p.stats.InUse)
}

// makeRoom reports whether size more bytes may be kept idle. When the bound is
// reached, the class that keeps most gives way, so that a burst of one size
// does not shut the others out for good. Each segment is dropped once for the
// one time it was kept, so the cost evens out. The lock is held.
func (p *Pool) makeRoom(class int, size int64) bool {
	for p.stats.Idle+size > p.maxIdle {
		fattest := -1
		var most int64
		for i := range p.free {
			if kept := p.free[i].count << (minClassShift + i); kept > most {
				fattest, most = i, kept
			}
		}
		if fattest < 0 || fattest == class {
			return false
		}
		p.free[fattest].pop()
		p.stats.Idle -= 1 << (minClassShift + fattest)
	}
	return true
}

// Taken is the most memory that the pool can have of the garbage collector's: what is
// live or kept, and what it has let go of and was not collected yet. Memory that others
// brought is not in it. It takes one load, no lock. It only grows, until Collected.
func (p *Pool) Taken() int64 { return p.taken.Load() }

// Mark is what a pool had at a moment; see Collected.
type Mark struct{ own, allocated int64 }

// Mark returns what the pool has now.
func (p *Pool) Mark() Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Mark{p.stats.InUse - p.adopted + p.stats.Idle, p.stats.Allocated}
}

// Collected tells the pool that a garbage collection has ended which began after m: what
// was garbage at m is gone. What has become garbage since may have survived, so that
// the moment of m, not the present one, counts.
func (p *Pool) Collected(m Mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken.Store(min(p.taken.Load(), m.own+p.stats.Allocated-m.allocated))
}

// Own is how much memory of the pool's own, which nobody brought, is live, and how much
// is kept for later use, bytes.
func (p *Pool) Own() (live, idle int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats.InUse - p.adopted, p.stats.Idle
}

// Trim lets go of everything that is kept for later use: the garbage collector has it
// from now on.
func (p *Pool) Trim() {
	p.mu.Lock()
	p.free, p.headers = [classCount]freeList{}, freeList{}
	p.blocks, p.nblocks = nil, 0
	p.stats.Idle = 0
	p.mu.Unlock()
	if debugBuild {
		p.checkInvariants()
	}
}

// takeBlock returns an empty block for a chain.
func (p *Pool) takeBlock() *block {
	p.mu.Lock()
	b := p.blocks
	if b != nil {
		p.blocks = b.next
		p.nblocks--
		p.stats.Idle -= blockBytes
	}
	p.mu.Unlock()
	if b == nil {
		return new(block)
	}
	b.next = nil
	return b
}

// putBlock takes back a block whose entries have all been cleared.
func (p *Pool) putBlock(b *block) {
	b.first, b.end = 0, 0
	p.mu.Lock()
	if (p.nblocks+1)*blockBytes <= p.maxIdle/sideShare && p.makeRoom(classExact, blockBytes) {
		b.next = p.blocks
		p.blocks = b
		p.nblocks++
		p.stats.Idle += blockBytes
	}
	p.mu.Unlock()
}

// classOf returns the size class for n bytes and its size; above the largest
// class, classExact and n itself.
func classOf(n int) (class, size int) {
	if n > maxClassBytes {
		return classExact, n
	}
	if n <= 1<<minClassShift {
		return 0, 1 << minClassShift
	}
	shift := bits.Len(uint(n - 1))
	return shift - minClassShift, 1 << shift
}
