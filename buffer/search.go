package buffer

// Looking at the bytes of a chain without changing it. Nothing here allocates.

import (
	"bytes"
	"fmt"
)

// CopyTo copies the bytes from offset from on to dst, as many as dst has room
// for, and returns how many that were: 0 when there are none behind from.
// Nothing is consumed or gathered. It panics when from is negative.
func (c *Chain) CopyTo(dst []byte, from int) int {
	c.mustBeOffset("CopyTo", from)
	n := 0
	b, i, from := c.seek(from)
	for b != nil && n < len(dst) {
		n += copy(dst[n:], b.entries[i].bytes()[from:])
		b, i = b.after(i)
		from = 0
	}
	return n
}

// Index returns the offset of the first sep that begins at offset from or
// behind it, and -1 when there is none. It finds one that lies across segments
// too. An empty sep is found at from, if the chain has as many bytes. Index
// panics when from is negative.
//
// To come to from takes a step for each segment before it, but only a few if it
// lies in the first one or in the last ones: whoever searches a growing chain
// again from where he stopped does not pay for its length.
func (c *Chain) Index(sep []byte, from int) int {
	c.mustBeOffset("Index", from)
	if from > c.length {
		return -1
	}
	if len(sep) == 0 {
		return from
	}
	b, i, skip := c.seek(from)
	base := from - skip // offset of the entry's first byte
	for b != nil {
		if at := b.find(i, sep, skip); at >= 0 {
			return base + at
		}
		base += b.entries[i].len()
		skip = 0
		b, i = b.after(i)
	}
	return -1
}

// find returns where in entry i, from skip on, the first sep begins. It may end
// in a later entry.
func (b *block) find(i int32, sep []byte, skip int) int {
	mem := b.entries[i].bytes()
	if len(sep) == 1 {
		if at := bytes.IndexByte(mem[skip:], sep[0]); at >= 0 {
			return skip + at
		}
		return -1
	}
	if at := bytes.Index(mem[skip:], sep); at >= 0 {
		return skip + at
	}
	// One that begins here and ends behind this entry.
	for at := max(skip, len(mem)-len(sep)+1); at < len(mem); at++ {
		if mem[at] == sep[0] && b.follows(i, at, sep) {
			return at
		}
	}
	return -1
}

// follows reports whether sep lies at byte at of entry i and in those behind it.
func (b *block) follows(i int32, at int, sep []byte) bool {
	for b != nil {
		mem := b.entries[i].bytes()[at:]
		n := min(len(mem), len(sep))
		if !bytes.Equal(mem[:n], sep[:n]) {
			return false
		}
		if sep = sep[n:]; len(sep) == 0 {
			return true
		}
		at = 0
		b, i = b.after(i)
	}
	return false
}

// seek returns the entry that holds the byte at offset from, and where in it;
// no block when there is no such byte.
func (c *Chain) seek(from int) (*block, int32, int) {
	if from >= c.length {
		return nil, 0, 0
	}
	if from < c.front().len() {
		return c.first, c.first.first, from
	}
	end := c.length
	for i := c.last.end - 1; i >= c.last.first; i-- {
		if end -= c.last.entries[i].len(); end <= from {
			return c.last, i, from - end
		}
	}
	b, i := c.first, c.first.first
	for from >= b.entries[i].len() {
		from -= b.entries[i].len()
		b, i = b.after(i)
	}
	return b, i, from
}

// after returns the entry behind entry i; no block behind the last one.
func (b *block) after(i int32) (*block, int32) {
	if i++; i < b.end {
		return b, i
	}
	if b = b.next; b == nil || b.empty() {
		return nil, 0
	}
	return b, b.first
}

func (c *Chain) mustBeOffset(op string, from int) {
	if from < 0 {
		panic(fmt.Sprintf("buffer: %s from offset %d", op, from))
	}
}
