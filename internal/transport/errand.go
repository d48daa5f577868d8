package transport

import "sync/atomic"

// Errand is work that any goroutine may leave with a loop, which runs it in its
// turn. It is part of whatever it works for, so leaving it costs no memory and is
// never refused. While it waits it is not left again.
type Errand struct {
	Run  func() // called on the loop's goroutine; set once
	next *Errand
	left atomic.Bool
}

// Errands are those that wait for one loop.
type Errands struct {
	newest atomic.Pointer[Errand]
	taken  *Errand // by RunAll, and not yet run; the loop's own
}

// Leave adds x, and reports whether it was not waiting already: the loop is then to
// be woken. Any goroutine.
func (s *Errands) Leave(x *Errand) bool {
	if !x.left.CompareAndSwap(false, true) {
		return false
	}
	for {
		x.next = s.newest.Load()
		if s.newest.CompareAndSwap(x.next, x) {
			return true
		}
	}
}

// Empty tells whether none waits.
func (s *Errands) Empty() bool { return s.newest.Load() == nil }

// RunAll runs those that wait, in the order in which they were left, and reports
// how many. One that is left meanwhile waits for the next call. On the loop.
func (s *Errands) RunAll() (n int) {
	for x := s.newest.Swap(nil); x != nil; {
		older := x.next
		x.next = s.taken
		s.taken, x = x, older
	}
	for s.taken != nil {
		x := s.taken
		s.taken, x.next = x.next, nil
		x.left.Store(false) // before it runs: what comes from now on may be too late for it
		x.Run()
		n++
	}
	return n
}

// Repost leaves those again that RunAll has taken and not come to, because an errand has
// ended its goroutine. On the loop.
func (s *Errands) Repost() {
	for s.taken != nil {
		x := s.taken
		s.taken = x.next
		x.left.Store(false)
		s.Leave(x)
	}
}
