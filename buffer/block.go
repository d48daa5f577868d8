package buffer

// The entries of a chain, and the linked blocks that they lie in.

// entry is a range of a segment, never empty while it is queued. It owns one
// reference.
type entry struct {
	seg        *Segment
	start, end int
}

func (e *entry) len() int      { return e.end - e.start }
func (e *entry) bytes() []byte { return e.seg.mem[e.start:e.end] }

// blockLen makes a block 208 bytes, an allocation class of the Go runtime.
const blockLen = 8

// block holds some of the entries of a chain: entries[first:end]. The others
// are zero, so that an idle block keeps no segment alive. A chain's last block
// stays when it has become empty, so that a queue which empties again and again
// does not go to the pool each time; no other queued block is ever empty.
type block struct {
	entries    [blockLen]entry
	first, end int32
	next       *block
}

func (b *block) empty() bool { return b.first == b.end }

// front returns the entry of the first byte, nil when the chain is empty. The
// pointer is good until that entry is popped.
func (c *Chain) front() *entry {
	if c.first == nil || c.first.empty() {
		return nil
	}
	return &c.first.entries[c.first.first]
}

// back returns the entry of the last byte, nil when the chain is empty.
func (c *Chain) back() *entry {
	if c.last == nil || c.last.empty() {
		return nil
	}
	return &c.last.entries[c.last.end-1]
}

// push adds an entry at the back.
func (c *Chain) push(e entry) {
	b := c.last
	if b == nil || b.end == blockLen {
		b = c.pool.takeBlock()
		if c.last == nil {
			c.first = b
		} else {
			c.last.next = b
		}
		c.last = b
	}
	b.entries[b.end] = e
	b.end++
}

// unshift adds an entry at the front.
func (c *Chain) unshift(e entry) {
	b := c.first
	switch {
	case b == nil || b.first == 0 && !b.empty():
		b = c.pool.takeBlock()
		b.first, b.end = blockLen, blockLen
		b.next = c.first
		c.first = b
		if c.last == nil {
			c.last = b
		}
	case b.empty():
		b.first, b.end = blockLen, blockLen
	}
	b.first--
	b.entries[b.first] = e
}

// pop removes the entry at the front. Its reference is the caller's now.
func (c *Chain) pop() entry {
	b := c.first
	e := b.entries[b.first]
	b.entries[b.first] = entry{}
	b.first++
	switch {
	case !b.empty():
	case b.next == nil:
		b.first, b.end = 0, 0
	default:
		c.first = b.next
		c.pool.putBlock(b)
	}
	return e
}
