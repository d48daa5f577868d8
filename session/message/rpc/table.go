package rpc

import (
	"math/bits"
	"sync"
	"time"
)

// A table holds calls that wait for their answers, those over one session. Each has a
// slot, and an id that names the slot and is never given again:
//
//	63               bits                1   0
//	┌───────────────────────┬──────────────┬───┐
//	│ how many-eth call     │     slot     │ t │   t: which table of the peer's, see roaming
//	└───────────────────────┴──────────────┴───┘
//
// So an answer finds its call without a search, and one that comes too late finds nobody.
// Whoever takes a call out ends it: the answer, its deadline, its context, or the end of
// the session, whichever comes first.
//
//	          ┌─────────── in the table ───────────┐
//	add ──────┤► being sent ──── sent ──► waiting ─┤──────► take, expire, close
//	          └────────────────────────────────────┘
//
// Any goroutine may call its methods.
type table struct {
	limit    int    // calls
	tag      uint64 // t
	slotBits int

	// arm has expire called at a time, instead of the one that it was told before; 0: not
	// at all. It is called with the lock held.
	arm func(at time.Duration)

	mu     sync.Mutex // guards all below, and what calls say is the table's
	slots  []*call    // nil: free
	free   []uint32   // numbers of free slots
	added  uint64     // calls so far
	due    deadlines
	armed  time.Duration // what arm was told; 0: expire is not going to be called
	ending *ending       // why no more are taken; nil: they are
}

// ending is the end of a session.
type ending struct {
	cause error
	taken uint64 // how many bytes of what was sent the kernel may have taken, at most
}

// slotsKept is how many slots an empty table keeps.
const slotsKept = 64

func (t *table) init(limit int, tag uint64, arm func(at time.Duration)) {
	t.limit, t.tag, t.arm = limit, tag, arm
	t.slotBits = bits.Len(uint(limit - 1))
}

// add gives c an id and a slot. It is to expire at c.deadline if that is not zero. The
// error is a *LimitError, or the cause of the session's end.
func (t *table) add(c *call) (id uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ending != nil:
		return 0, t.ending.cause
	case t.waiting() >= t.limit:
		return 0, &LimitError{What: "calls in flight", Limit: t.limit}
	}
	slot := t.takeSlot()
	t.slots[slot] = c
	t.added++
	c.id = (t.added<<t.slotBits|uint64(slot))<<1 | t.tag
	c.sent, c.end, c.place = false, 0, noPlace
	if c.deadline != 0 {
		t.due.add(c)
		t.rearm()
	}
	return c.id, nil
}

func (t *table) takeSlot() (slot uint32) {
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
		return slot
	}
	t.slots = append(t.slots, nil)
	return uint32(len(t.slots) - 1)
}

// sent tells that the request of a call has been queued, and that the kernel will have
// taken as many bytes as end when it has left. It returns nil, or the end that the session
// has come to meanwhile if the call is still there: it is then taken out, and the caller's
// to end.
func (t *table) sent(c *call, id, end uint64) *ending {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.find(id) != c {
		return nil // answered already
	}
	c.sent, c.end = true, end
	if t.ending != nil {
		t.remove(c)
	}
	return t.ending
}

// watch has stop called when the call is ended, if it is not yet.
func (t *table) watch(c *call, id uint64, stop func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.find(id) == c {
		c.stop = stop
	} else {
		stop()
	}
}

// take takes out the call with this id; nil if there is none.
func (t *table) take(id uint64) *call {
	return t.takeIf(id, func(*call) bool { return true })
}

// takeIf takes out the call with this id if it is one of those that are meant.
func (t *table) takeIf(id uint64, meant func(*call) bool) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(id)
	if c == nil || !meant(c) {
		return nil
	}
	t.remove(c)
	return c
}

// expire takes out the calls that are to expire now or before.
func (t *table) expire(now time.Duration) (expired []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.due) > 0 && t.due[0].deadline <= now {
		expired = append(expired, t.due[0])
		t.remove(t.due[0])
	}
	t.armed = 0
	t.rearm()
	return expired
}

// takeAll takes out the calls that are meant.
func (t *table) takeAll(meant func(*call) bool) (all []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.slots {
		if c != nil && meant(c) {
			all = append(all, c)
		}
	}
	for _, c := range all {
		t.remove(c)
	}
	return all
}

// close takes out all calls, since the session has ended: it takes no more. Those whose
// requests are just being sent are left to sent, or to whoever fails to.
func (t *table) close(e ending) (left []*call) {
	t.mu.Lock()
	t.ending = &e
	t.arm(0)
	t.mu.Unlock()
	return t.takeAll(func(c *call) bool { return c.sent })
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
		t.slots, t.free, t.due = nil, nil, nil // ids count on: none is given again
	}
}

// rearm has expire called in time for the first deadline. It may be called before that: a
// call that is answered leaves that as it is.
func (t *table) rearm() {
	if len(t.due) == 0 || t.ending != nil {
		return
	}
	if at := t.due[0].deadline; t.armed == 0 || at < t.armed {
		t.armed = at
		t.arm(at)
	}
}
