package engine

import "math/bits"

// A wheel keeps timers that are set often and rarely fire. Setting and clearing
// one costs the same however many there are.
//
// Time is counted in ticks. Level 0 has a slot per tick, each level above a
// slot for all the slots of the one below:
//
//	level 0   64 slots of 1 tick        due within 64 ticks
//	level 1   64 slots of 64 ticks      … 4096
//	level 2   64 slots of 4096 ticks    … 262,144
//	level 3   64 slots of 262,144 ticks … 16,777,216; later ones fire early
//
// When time reaches a slot of a higher level, its timers move down. The wheel
// never touches empty slots: it jumps to the next occupied one.
//
// Timers are named by number and live with their owner, in doubly linked lists
// by number, so that the wheel is invisible to the garbage collector. It belongs
// to one goroutine.
type wheel struct {
	timer func(index uint32) *timer
	now   tick
	heads [levels][slotsPerLevel]uint32 // 1 + index of the first timer; 0: none
	used  [levels]uint64                // a bit per slot that is not empty
}

// A tick is the unit of the wheel. It wraps around; only differences count.
type tick uint32

const (
	levels        = 4
	slotBits      = 6
	slotsPerLevel = 1 << slotBits
	horizon       = 1<<(levels*slotBits) - 1 // the longest a timer can wait, in ticks
)

// timer is an owner's entry in the wheel. The zero value is not set.
type timer struct {
	due  tick
	prev uint32 // 1 + index, or 0
	next uint32
	slot uint16 // 1 + level*slotsPerLevel + slot; 0: not set
}

func (t *timer) isSet() bool { return t.slot != 0 }

// set makes timer index fire at due, or at the next tick if due is not later
// than now; a timer that was set moves.
func (w *wheel) set(index uint32, due tick) {
	t := w.timer(index)
	w.unlink(t)
	if int32(due-w.now) <= 0 {
		due = w.now + 1
	}
	t.due = due
	w.link(index, t)
}

// clear makes timer index not fire.
func (w *wheel) clear(index uint32) { w.unlink(w.timer(index)) }

// next returns when the wheel must be advanced next.
func (w *wheel) next() (at tick, ok bool) {
	best := tick(0)
	for level := range levels {
		if w.used[level] == 0 {
			continue
		}
		shift := level * slotBits
		current := w.now >> shift
		ahead := bits.RotateLeft64(w.used[level], -int(current+1)&(slotsPerLevel-1))
		distance := tick(1 + bits.TrailingZeros64(ahead))
		wait := (current+distance)<<shift - w.now
		if !ok || wait < best {
			best, ok = wait, true
		}
	}
	return w.now + best, ok
}

// advance moves time to now and fires what is due. Fire may set and clear any
// timer.
func (w *wheel) advance(now tick, fire func(index uint32)) {
	for {
		at, ok := w.next()
		if !ok || at-w.now > now-w.now {
			w.now = now
			return
		}
		w.now = at
		w.moveDown()
		w.fireDue(fire)
	}
}

// moveDown spreads the higher slots that begin now over the levels below.
func (w *wheel) moveDown() {
	for level := levels - 1; level > 0; level-- {
		shift := level * slotBits
		if w.now&(1<<shift-1) != 0 {
			continue
		}
		slot := int(w.now>>shift) & (slotsPerLevel - 1)
		for w.heads[level][slot] != 0 {
			index := w.heads[level][slot] - 1
			t := w.timer(index)
			w.unlink(t)
			w.link(index, t)
		}
	}
}

// fireDue fires the timers of the present tick. What fire sets is due later.
func (w *wheel) fireDue(fire func(index uint32)) {
	slot := int(w.now) & (slotsPerLevel - 1)
	for w.heads[0][slot] != 0 {
		index := w.heads[0][slot] - 1
		w.unlink(w.timer(index))
		fire(index)
	}
}

// link puts t into the slot of its due time, or of the horizon, from where it
// fires early. Only moveDown links into the present tick, which fires next.
func (w *wheel) link(index uint32, t *timer) {
	wait := min(t.due-w.now, horizon)
	level := 0
	for level < levels-1 && wait >= 1<<((level+1)*slotBits) {
		level++
	}
	slot := int((w.now+wait)>>(level*slotBits)) & (slotsPerLevel - 1)
	head := &w.heads[level][slot]
	t.prev, t.next = 0, *head
	if *head != 0 {
		w.timer(*head - 1).prev = index + 1
	}
	*head = index + 1
	t.slot = uint16(1 + level*slotsPerLevel + slot)
	w.used[level] |= 1 << slot
}

func (w *wheel) unlink(t *timer) {
	if t.slot == 0 {
		return
	}
	level, slot := int(t.slot-1)/slotsPerLevel, int(t.slot-1)%slotsPerLevel
	if t.next != 0 {
		w.timer(t.next - 1).prev = t.prev
	}
	if t.prev != 0 {
		w.timer(t.prev - 1).next = t.next
	} else {
		w.heads[level][slot] = t.next
		if t.next == 0 {
			w.used[level] &^= 1 << slot
		}
	}
	t.prev, t.next, t.slot = 0, 0, 0
}
