package buffer

// What must always be true of a pool and of a chain. Tests call these directly;
// builds with the tag weirdebug call them after each change.

import "fmt"

// checkInvariants panics when the books of the pool do not add up.
func (p *Pool) checkInvariants() {
	p.mu.Lock()
	defer p.mu.Unlock()

	var idle int64
	for class := range p.free {
		l := &p.free[class]
		size := 1 << (minClassShift + class)
		var count int64
		for s := l.top; s != nil; s = s.next {
			count++
			assert(len(s.mem) == size, "idle segment of %d bytes in the list of %d", len(s.mem), size)
			assert(int(s.class) == class, "idle segment of class %d in the list of %d", s.class, class)
			assert(s.pool == p, "idle segment of another pool")
			assert(s.refs.Load() == 0, "idle segment with %d references", s.refs.Load())
		}
		assert(count == l.count, "list of class %d holds %d segments, counted %d", class, count, l.count)
		idle += count * int64(size)
	}

	var headers int64
	for s := p.headers.top; s != nil; s = s.next {
		headers++
		assert(s.mem == nil && s.release == nil, "idle header still holds adopted memory")
	}
	assert(headers == p.headers.count, "%d idle headers, counted %d", headers, p.headers.count)

	var blocks int64
	for b := p.blocks; b != nil; b = b.next {
		blocks++
		assert(b.first == 0 && b.end == 0, "idle block is not empty")
	}
	assert(blocks == p.nblocks, "%d idle blocks, counted %d", blocks, p.nblocks)

	idle += headers*headerBytes + blocks*blockBytes
	st := &p.stats
	assert(idle == st.Idle, "%d bytes idle, counted %d", idle, st.Idle)
	assert(st.Idle <= p.maxIdle, "%d bytes idle, at most %d allowed", st.Idle, p.maxIdle)
	assert(st.InUse >= 0 && st.InUse <= st.Peak, "%d bytes in use, peak %d", st.InUse, st.Peak)
	assert(p.adopted >= 0 && p.adopted <= st.InUse, "%d bytes adopted of %d in use", p.adopted, st.InUse)
	assert(st.Segments >= 0, "%d live segments", st.Segments)
	assert(st.Segments > 0 || st.InUse == 0, "%d bytes in use without a live segment", st.InUse)
	assert(st.Hits <= st.Gets, "%d hits of %d gets", st.Hits, st.Gets)
}

// checkInvariants panics when entries, blocks and length do not agree.
func (c *Chain) checkInvariants() {
	assert((c.first == nil) == (c.last == nil), "chain has only one end")
	assert(c.first != nil || c.length == 0, "chain of %d bytes without a block", c.length)

	length := 0
	for b := c.first; b != nil; b = b.next {
		assert(0 <= b.first && b.first <= b.end && b.end <= blockLen, "queued block with entries [%d,%d)", b.first, b.end)
		assert(b.next != nil || b == c.last, "last block is not the last")
		assert(!b.empty() || b.next == nil && b.end == 0, "empty block before the last, or not rewound")
		for i := range b.entries {
			e := &b.entries[i]
			if int32(i) < b.first || int32(i) >= b.end {
				assert(*e == entry{}, "unused entry keeps a segment")
				continue
			}
			assert(e.seg.refs.Load() >= 1, "queued segment has been released")
			assert(0 <= e.start && e.start < e.end && e.end <= len(e.seg.mem),
				"entry [%d,%d) of a segment of %d bytes", e.start, e.end, len(e.seg.mem))
			length += e.len()
		}
	}
	assert(length == c.length, "entries hold %d bytes, counted %d", length, c.length)
}

func assert(ok bool, format string, args ...any) {
	if !ok {
		panic("buffer: broken invariant: " + fmt.Sprintf(format, args...))
	}
}
