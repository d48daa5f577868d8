package buffer

// Debug mode: poison in released memory, and the stacks of those who got and
// released a segment. A released header is never handed out again in this mode
// (its memory gets a new one), so a late use is always noticed.

import (
	"bytes"
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

const poisonByte = 0xDB

// stackDepth is how many callers are kept: enough to leave the engine.
const stackDepth = 32

// Leak is a segment that has not been released yet.
type Leak struct {
	Size  int    // bytes
	Stack string // who got it: function, then file and line, innermost first
}

// trace is the life of one segment.
type trace struct {
	born     uint64
	got      stack
	released stack
}

type stack struct {
	pcs [stackDepth]uintptr
	n   int
}

// capture records the callers, without the innermost skip of them.
func (k *stack) capture(skip int) { k.n = runtime.Callers(skip+2, k.pcs[:]) }

func (k *stack) String() string {
	var b strings.Builder
	frames := runtime.CallersFrames(k.pcs[:k.n])
	for more := k.n > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String()
}

// Leaks returns the segments that are still out, oldest first. It is nil
// without debug mode.
func (p *Pool) Leaks() []Leak {
	p.mu.Lock()
	out := make([]*Segment, 0, len(p.live))
	for s := range p.live {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Segment) int { return cmp.Compare(a.trace.born, b.trace.born) })
	var leaks []Leak
	for _, s := range out {
		leaks = append(leaks, Leak{Size: len(s.mem), Stack: s.trace.got.String()})
	}
	p.mu.Unlock()
	return leaks
}

// track starts the trace of a segment. It leaves itself and its caller, Get or
// Adopt, out of the stack.
func (p *Pool) track(s *Segment) {
	s.trace = new(trace)
	s.trace.got.capture(2)
	p.mu.Lock()
	p.born++
	s.trace.born = p.born
	p.live[s] = struct{}{}
	p.mu.Unlock()
}

// inspect makes sure that nobody wrote to memory while it was idle, and returns
// a new header for it. Memory that is new is poisoned, so that nobody counts on
// zeroes.
func (p *Pool) inspect(s *Segment) *Segment {
	if s.trace == nil {
		poison(s.mem)
		return s
	}
	if i := unpoisoned(s.mem); i >= 0 {
		panic(fmt.Sprintf("buffer: segment of %d bytes was written at byte %d after its release by\n%s",
			len(s.mem), i, &s.trace.released))
	}
	return &Segment{mem: s.mem, pool: p, class: s.class}
}

// bury ends the trace of a segment that was just released.
func (p *Pool) bury(s *Segment) {
	s.trace.released.capture(3)
	if s.class != classAdopted {
		poison(s.mem)
	}
	p.mu.Lock()
	delete(p.live, s)
	p.mu.Unlock()
}

// mustLive panics when the segment has been released.
func (s *Segment) mustLive(op string) {
	if s.refs.Load() <= 0 {
		s.misused(op)
	}
}

// misused panics with what was done to a segment without references.
func (s *Segment) misused(op string) {
	if s.trace == nil {
		panic(fmt.Sprintf("buffer: %s of a segment that has no reference left", op))
	}
	panic(fmt.Sprintf("buffer: %s of a segment that has no reference left; the last one was released by\n%s",
		op, &s.trace.released))
}

func poison(b []byte) {
	for i := range b {
		b[i] = poisonByte
	}
}

// unpoisoned returns the first byte that is not poison, or -1.
func unpoisoned(b []byte) int {
	// A run of one byte equals itself shifted by one.
	if len(b) == 0 || b[0] == poisonByte && bytes.Equal(b[1:], b[:len(b)-1]) {
		return -1
	}
	return slices.IndexFunc(b, func(c byte) bool { return c != poisonByte })
}
