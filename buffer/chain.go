package buffer

// The chain: a queue of bytes over segments.

import "fmt"

// appendMax is the largest segment that Append asks for. A larger one would be
// held as a whole until its last byte has left.
const appendMax = 64 << 10

// Chain is a queue of bytes: what is appended at the back is consumed at the
// front, in order. It belongs to one goroutine at a time.
//
//	Chain            block               block
//	┌────────┐      ┌──────────────┐    ┌──────────────┐
//	│ first ─┼─────▶│ · · e e e e  │───▶│ e e e · · ·  │
//	│ last ──┼──┐   └─────┬─┬──────┘    └──────┬───────┘
//	│ length │  │         │ │               ▲  │
//	│ pool   │  └─────────┼─┼───────────────┘  │
//	└────────┘            ▼ ▼                  ▼
//	                segment A, [20,64)      segment C, [0,5), the rest of it
//	                segment B, [0,4096)     is spare room for Append
//
// An entry is a range of a segment and owns one reference to it. Ranges of the
// same segment that touch become one entry. Entries lie in blocks that come
// from the pool and go back when their entries are gone, so nothing is moved
// when the queue grows or shrinks. An empty chain holds no memory but its own
// 32 bytes and, once it has been used, one block of 208.
//
// A function given to AppendOwned runs inside the call that drops the last byte
// of its memory. It must not use the chain.
type Chain struct {
	pool   *Pool
	first  *block
	last   *block
	length int
}

// NewChain returns an empty chain that takes its memory from p.
func NewChain(p *Pool) *Chain { return &Chain{pool: p} }

// Len returns how many bytes are queued.
func (c *Chain) Len() int { return c.length }

// Empty reports whether nothing is queued.
func (c *Chain) Empty() bool { return c.length == 0 }

// Append queues a copy of b. It fills up the last segment if the chain is its
// only owner, then takes new ones: the size class of b at first, and twice the
// size of the last one each time that one is full, up to 64 KiB.
func (c *Chain) Append(b []byte) {
	for len(b) > 0 {
		var n int
		if room := c.room(); len(room) > 0 {
			n = copy(room, b)
			c.back().end += n
		} else {
			own := c.nextSegment(len(b))
			n = copy(own.mem, b)
			c.push(entry{own, 0, n})
		}
		c.length += n
		b = b[n:]
	}
	c.changed()
}

// AppendParts queues copies of three slices as one range, if they fit a segment: what
// precedes a message, the message, and what follows it.
func (c *Chain) AppendParts(head, body, tail []byte) {
	n := len(head) + len(body) + len(tail)
	if n > 0 && n <= appendMax && len(c.room()) < n {
		own := c.nextSegment(n)
		at := copy(own.mem, head)
		at += copy(own.mem[at:], body)
		at += copy(own.mem[at:], tail)
		c.push(entry{own, 0, at})
		c.length += at
		c.changed()
		return
	}
	c.Append(head)
	c.Append(body)
	c.Append(tail)
}

// AppendView queues view without copying it. The view must lie in s; the chain
// takes a reference of its own, the caller keeps his. The bytes must not change
// while they are queued. An empty view does nothing.
func (c *Chain) AppendView(s *Segment, view []byte) {
	if len(view) == 0 {
		return
	}
	at, ok := s.offset(view)
	if !ok {
		panic("buffer: AppendView of bytes that do not lie in the segment")
	}
	if e := c.back(); e != nil && e.seg == s && e.end == at {
		e.end += len(view)
	} else {
		s.Retain()
		c.push(entry{s, at, at + len(view)})
	}
	c.length += len(view)
	c.changed()
}

// AppendOwned queues b itself. The memory belongs to the chain until release
// (it may be nil) is called, exactly once: when the last byte has left the
// chain and every other reference to it is gone. With an empty b that is now.
func (c *Chain) AppendOwned(b []byte, release func()) {
	if len(b) == 0 {
		if release != nil {
			release()
		}
		return
	}
	c.push(entry{c.pool.Adopt(b, release), 0, len(b)})
	c.length += len(b)
	c.changed()
}

// Prepend queues a copy of b before everything else.
func (c *Chain) Prepend(b []byte) {
	if len(b) == 0 {
		return
	}
	own := c.pool.Get(len(b))
	c.unshift(entry{own, 0, copy(own.mem, b)})
	c.length += len(b)
	c.changed()
}

// PrependView queues view, as AppendView does, before everything else.
func (c *Chain) PrependView(s *Segment, view []byte) {
	if len(view) == 0 {
		return
	}
	at, ok := s.offset(view)
	if !ok {
		panic("buffer: PrependView of bytes that do not lie in the segment")
	}
	s.Retain()
	c.unshift(entry{s, at, at + len(view)})
	c.length += len(view)
	c.changed()
}

// Peek returns the first n bytes, or all if there are fewer, as one slice: a
// view when they lie in one segment; else they are first gathered into one. The
// slice is read-only and good until the next call that changes the chain, which
// another Peek does when it gathers.
func (c *Chain) Peek(n int) []byte {
	n = min(n, c.length)
	if n <= 0 {
		return nil
	}
	if e := c.front(); e.len() < n {
		c.gather(n)
		c.changed()
	}
	e := c.front()
	return e.seg.mem[e.start : e.start+n : e.start+n]
}

// Front returns the segment that the first byte lies in, and with it the whole
// of what the last Peek returned; nil when the chain is empty. It lends the
// chain's reference: whoever wants the bytes for longer than the chain keeps
// them must Retain it.
func (c *Chain) Front() *Segment {
	if c.length == 0 {
		return nil
	}
	return c.front().seg
}

// Consume drops n bytes from the front and releases the segments that are done
// with. It panics when n is negative or more than Len.
func (c *Chain) Consume(n int) {
	if n < 0 || n > c.length {
		panic(fmt.Sprintf("buffer: Consume of %d bytes, %d are queued", n, c.length))
	}
	for n > 0 {
		e := c.front()
		if size := e.len(); n >= size {
			n -= size
			c.length -= size
			c.pop().seg.Release()
		} else {
			e.start += n
			c.length -= n
			n = 0
		}
	}
	c.changed()
}

// First returns as many of the first n bytes as lie in one segment, without
// copying. The view is read-only and good until the next call that changes the
// chain.
func (c *Chain) First(n int) []byte {
	e := c.front()
	if e == nil {
		return nil
	}
	n = min(n, e.len())
	return e.seg.mem[e.start : e.start+n : e.start+n]
}

// Views appends views of the bytes at the front to dst, for a gathering write:
// as many as fit the capacity of dst, and no more than maxBytes bytes. Nothing
// is removed. The views are read-only and good until the next call that changes
// the chain.
func (c *Chain) Views(dst [][]byte, maxBytes int) [][]byte {
	for b := c.first; b != nil; b = b.next {
		for i := b.first; i < b.end; i++ {
			if len(dst) == cap(dst) || maxBytes <= 0 {
				return dst
			}
			e := &b.entries[i]
			n := min(e.len(), maxBytes)
			dst = append(dst, e.seg.mem[e.start:e.start+n:e.start+n])
			maxBytes -= n
		}
	}
	return dst
}

// Unshare makes the chain let go of s, so that its other owner can reuse the
// memory: every range that lies in s is copied to a segment of its own size
// class. It returns how many bytes were copied; order and contents stay.
func (c *Chain) Unshare(s *Segment) int {
	copied := 0
	for b := c.first; b != nil; b = b.next {
		for i := b.first; i < b.end; i++ {
			e := &b.entries[i]
			if e.seg != s {
				continue
			}
			own := c.pool.Get(e.len())
			n := copy(own.mem, e.bytes())
			*e = entry{own, 0, n}
			copied += n
			s.Release()
		}
	}
	c.changed()
	return copied
}

// Compact copies every range that fills less than a quarter of its segment to a
// segment of its own size class, unless the segment was adopted, or is the last and has
// the room that a growing queue needs. Afterwards the chain holds at most five times the
// memory of what is queued, small ranges and adopted memory apart. Order and contents stay.
func (c *Chain) Compact() {
	back := c.back()
	for b := c.first; b != nil; b = b.next {
		for i := b.first; i < b.end; i++ {
			e := &b.entries[i]
			if e.seg.class == classAdopted || e.len()*4 >= e.seg.Cap() || e.seg.Cap() == 1<<minClassShift {
				continue
			}
			if e == back && e.seg.Cap() <= c.length && e.seg.extendable() {
				continue // copied to the least class it would be filled, and followed by such another
			}
			own := c.pool.Get(e.len())
			n := copy(own.mem, e.bytes())
			e.seg.Release()
			*e = entry{own, 0, n}
		}
	}
	c.changed()
}

// Reset drops everything that is queued.
func (c *Chain) Reset() { c.Consume(c.length) }

// gather makes the first n bytes contiguous; the first entry holds fewer. It
// writes them behind those of the first segment when there is room that only
// the chain owns, else all of them to a new segment. Because size classes
// double, peeking further and further copies each byte a few times only.
func (c *Chain) gather(n int) {
	e := c.front()
	if e.seg.extendable() && e.seg.Cap()-e.start >= n {
		head := c.pop()
		for head.len() < n {
			head.end += c.move(head.seg.mem[head.end : head.start+n])
		}
		c.unshift(head)
		return
	}

	size := n
	if n > maxClassBytes && e.seg.class == classExact {
		size += n / 2 // classes no longer double, and this is not the first time
	}
	own := c.pool.Get(size)
	for got := 0; got < n; {
		got += c.move(own.mem[got:n])
	}
	c.unshift(entry{own, 0, n})
}

// move takes bytes from the front entry into dst, as many as one of them has,
// and returns how many. The length of the chain is the caller's business.
func (c *Chain) move(dst []byte) int {
	e := c.front()
	n := copy(dst, e.bytes())
	e.start += n
	if e.len() == 0 {
		c.pop().seg.Release()
	}
	return n
}

// room returns the memory behind the last byte that the chain may write to.
func (c *Chain) room() []byte {
	if e := c.back(); e != nil && e.seg.extendable() {
		return e.seg.mem[e.end:]
	}
	return nil
}

// nextSegment returns a segment to put n more bytes in, or the first of them.
func (c *Chain) nextSegment(n int) *Segment {
	if e := c.back(); e != nil && e.seg.extendable() {
		n = max(n, 2*e.seg.Cap())
	}
	return c.pool.Get(min(n, appendMax))
}

// changed ends every method that changes the chain.
func (c *Chain) changed() {
	if debugBuild {
		c.checkInvariants()
	}
}
