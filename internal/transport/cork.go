package transport

import "sync/atomic"

// A Cork gathers what handlers leave for loops to do, so that many messages to a
// group become one hand-over. Whoever runs handlers calls Gather before the first
// and Release after the last; what they hold meanwhile is let go at each Release,
// and at each Flush. So it never waits for one handler only: the overseer flushes.
//
// All methods may be called from any goroutine.
type Cork struct {
	// Holding is told when something is held. The engine sets it before all else.
	Holding func()

	gathering atomic.Int32
	held      atomic.Pointer[Held] // newest first
}

// Held is something that can be held back: part of whatever it works for.
type Held struct {
	Go   func() // lets it go; set once
	next *Held
	held atomic.Bool
}

// Gather begins to hold back.
func (c *Cork) Gather() { c.gathering.Add(1) }

// Release ends what Gather began, and lets go.
func (c *Cork) Release() {
	c.gathering.Add(-1)
	c.Flush()
}

// Relent is Release for who may hold a lock that letting go needs, because it gathers within
// somebody else's Gather: that one lets go.
func (c *Cork) Relent() {
	if c.gathering.Add(-1) == 0 {
		c.Flush()
	}
}

// Hold has h let go soon, or now if nobody gathers.
func (c *Cork) Hold(h *Held) {
	if c.gathering.Load() == 0 {
		c.Flush() // what was there before goes first
		h.Go()
		return
	}
	if !h.held.CompareAndSwap(false, true) {
		return
	}
	for {
		h.next = c.held.Load()
		if c.held.CompareAndSwap(h.next, h) {
			break
		}
	}
	if c.gathering.Load() == 0 {
		c.Flush() // whoever gathered may have looked before h was there
	} else {
		c.Holding()
	}
}

// Flush lets go of everything, in the order in which it came.
func (c *Cork) Flush() {
	if c.held.Load() == nil {
		return
	}
	var first *Held
	for h := c.held.Swap(nil); h != nil; {
		older := h.next
		h.next = first
		first, h = h, older
	}
	for first != nil {
		h := first
		first, h.next = h.next, nil
		h.held.Store(false) // before it goes: what comes from now on may be too late for it
		h.Go()
	}
}
