package rpc

import (
	"math/bits"
	"sync"
	"time"
)

// A table holds the calls of one connection that wait for their answers. Each has a slot,
// and an id that names the slot and is never given again:
//
//	63            slot bits           0
//	┌──────────────┬───────────┬──────┐
//	│ how many-eth │   slot    │ kind │
//	└──────────────┴───────────┴──────┘
//
// So an answer finds its call without a search, and one that comes too late finds nobody.
// Whoever takes a call out ends it: the answer, its deadline, its context, or the end of
// the connection, whichever comes first.
//
//	        ┌──────── add ─────── sent ────────┐
//	free ───┤       sending       waiting      ├─── taken, by one
//	        └──────────────────────────────────┘
//
// Any goroutine may call its methods.
type table struct {
	limit    int    // calls
	kind     uint64 // lowest bit of the ids
	slotBits int

	mu     sync.Mutex // guards all below, and what calls say is the table's
	slots  []*call    // nil: free
	free   []uint32   // numbers of free slots
	added  uint64     // calls so far
	due    deadlines
	ending *ending // why no more are taken; nil: they are
}

// ending is the end of a connection.
type ending struct {
	cause error
	taken uint64 // how many bytes of what was sent the kernel may have taken, at most
}

// slotsKept is how many slots an empty table keeps.
const slotsKept = 64

func (t *table) init(limit int, kind uint64) {
	t.limit, t.kind = limit, kind
	t.slotBits = bits.Len(uint(limit - 1))
}

// add gives c an id and a slot. It is to expire at c.deadline if that is not zero; first
// tells that it is the next of all to do so. The error is a *LimitError, or the cause
// of the connection's end.
func (t *table) add(c *call) (first bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ending != nil:
		return false, t.ending.cause
	case t.waiting() >= t.limit:
		return false, &LimitError{What: "calls in flight", Limit: t.limit}
	}
	slot := t.takeSlot()
	t.slots[slot] = c
	t.added++
	c.id = (t.added<<t.slotBits|uint64(slot))<<1 | t.kind
	c.sent, c.end, c.place = false, 0, noPlace
	if c.deadline != 0 {
		t.due.add(c)
	}
	return c.place == 0, nil
}

func (t *table) takeSlot() (slot uint32) {
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
		return slot
	}
	t.slots = append(t.slots, nil)
	return uint32(len(t.slots) - 1)
}

// sent tells that the request of a call has been queued, to leave until the kernel has
// taken as many bytes as end. It returns nil, or the end that the connection has come to
// meanwhile, and with it the call if that is still there: the caller ends it.
func (t *table) sent(c *call, id, end uint64) (*call, *ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.find(id) != c {
		return nil, nil // answered already
	}
	c.sent, c.end = true, end
	if t.ending == nil {
		return nil, nil
	}
	t.remove(c)
	return c, t.ending
}

// take takes out the call with this id; nil if there is none.
func (t *table) take(id uint64) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(id)
	if c != nil {
		t.remove(c)
	}
	return c
}

// expire takes out the calls that are to expire at a time or before, and tells when the
// next will.
func (t *table) expire(now time.Duration) (expired []*call, next time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		next, ok = t.due.next()
		if !ok || next > now {
			return expired, next, ok
		}
		expired = append(expired, t.due[0])
		t.remove(t.due[0])
	}
}

// close takes out all calls, since the connection has ended: it takes no more. Those
// whose requests are just being queued are left to sent, or to whoever fails to.
func (t *table) close(e ending) (left []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ending = &e
	for _, c := range t.slots {
		if c != nil && c.sent {
			left = append(left, c)
		}
	}
	for _, c := range left {
		t.remove(c)
	}
	return left
}

// len is how many calls there are.
func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting()
}

// The methods below are called with the lock held.

func (t *table) waiting() int { return len(t.slots) - len(t.free) }

func (t *table) find(id uint64) *call {
	slot := id >> 1 & (1<<t.slotBits - 1)
	if slot >= uint64(len(t.slots)) || t.slots[slot] == nil || t.slots[slot].id != id {
		return nil
	}
	return t.slots[slot]
}

func (t *table) remove(c *call) {
	slot := uint32(c.id >> 1 & (1<<t.slotBits - 1))
	t.slots[slot] = nil
	t.free = append(t.free, slot)
	t.due.remove(c)
	if t.waiting() == 0 && len(t.slots) > slotsKept {
		t.slots, t.free = nil, nil // ids count on: none is given again
	}
}
