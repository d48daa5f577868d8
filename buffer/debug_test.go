package buffer

import (
	"strings"
	"testing"
)

func TestReleasedMemoryIsPoisoned(t *testing.T) {
	p := checkedPool(t, Config{})
	for _, n := range []int{100, 5000, 300 << 10} {
		s := p.Get(n)
		b := s.Bytes()
		clear(b)
		s.Release()
		for i, c := range b {
			if c != 0xDB {
				t.Fatalf("byte %d of %d is %#x after release", i, n, c)
			}
		}
	}
}

func releaseTooEarly(s *Segment) { s.Release() }

func TestWriteAfterReleaseIsFound(t *testing.T) {
	for _, at := range []int{0, 1, 17, 254, 255} {
		p := NewPool(Config{Debug: true})
		s := p.Get(256)
		b := s.Bytes()
		releaseTooEarly(s)
		b[at] = 7
		mustPanic(t, func() { p.Get(256) }, "written at byte", "after its release", "buffer.releaseTooEarly")
	}
}

func TestUseAfterReleasePanics(t *testing.T) {
	p := checkedPool(t, Config{})
	s := p.Get(256)
	view := s.Bytes()[:10]
	releaseTooEarly(s)
	again := p.Get(256) // the same memory under a new header
	defer again.Release()
	for name, use := range map[string]func(){
		"Bytes":    func() { s.Bytes() },
		"Retain":   s.Retain,
		"Release":  s.Release,
		"Contains": func() { s.Contains(view) },
	} {
		mustPanic(t, use, name+" of a segment", "no reference left", "buffer.releaseTooEarly")
	}

	adopted := p.Adopt(pattern(3), nil)
	adopted.Release()
	mustPanic(t, adopted.Release, "Release of a segment", "TestUseAfterReleasePanics")
	p.checkInvariants()
}

func TestNewMemoryIsNotZeroInDebugMode(t *testing.T) {
	p := checkedPool(t, Config{})
	s := p.Get(256)
	defer s.Release()
	if s.Bytes()[0] != poisonByte {
		t.Error("debug memory must not look initialised")
	}
}

func leakOne(p *Pool) *Segment { return p.Get(3000) }

func TestLeaksAreNamed(t *testing.T) {
	p := checkedPool(t, Config{})
	p.Get(1).Release()
	first := leakOne(p)
	second := p.Adopt(pattern(5), nil)
	c := NewChain(p)
	c.Append(pattern(10))

	leaks := p.Leaks()
	if len(leaks) != 3 {
		t.Fatalf("%d leaks, want 3", len(leaks))
	}
	for i, want := range []struct {
		size  int
		first string // innermost function of the stack
	}{{4096, "buffer.leakOne"}, {5, "buffer.TestLeaksAreNamed"}, {256, "buffer.(*Chain).nextSegment"}} {
		top, _, _ := strings.Cut(leaks[i].Stack, "\n")
		if leaks[i].Size != want.size || !strings.HasSuffix(top, want.first) ||
			!strings.Contains(leaks[i].Stack, "TestLeaksAreNamed") || !strings.Contains(leaks[i].Stack, "debug_test.go:") {
			t.Errorf("leak %d: %d bytes from\n%s\nwant %d bytes from %s", i, leaks[i].Size, leaks[i].Stack, want.size, want.first)
		}
	}
	first.Release()
	second.Release()
	c.Reset()
	if leaks := p.Leaks(); leaks != nil {
		t.Errorf("leaks after everything was released: %v", leaks)
	}
}

func TestNoLeaksWithoutDebugMode(t *testing.T) {
	p := NewPool(Config{})
	s := p.Get(1)
	if got, want := len(p.Leaks()) > 0, debugBuild; got != want {
		t.Errorf("leaks known: %t, want %t", got, want)
	}
	s.Release()
}

// The checks themselves must be able to fail.
func TestInvariantsAreChecked(t *testing.T) {
	const word = "broken invariant"

	p := NewPool(Config{})
	p.Get(256).Release()
	p.stats.Idle++
	mustPanic(t, p.checkInvariants, word)
	p.stats.Idle--
	p.free[0].top.refs.Store(1)
	mustPanic(t, p.checkInvariants, word)
	p.free[0].top.refs.Store(0)
	p.free[0].count++
	mustPanic(t, p.checkInvariants, word)
	p.free[0].count--
	p.checkInvariants()

	c := NewChain(p)
	c.Append(pattern(10))
	c.length++
	mustPanic(t, c.checkInvariants, word)
	c.length--
	e := c.front()
	e.end = e.start
	mustPanic(t, c.checkInvariants, word)
	e.end = 10
	e.seg.refs.Store(0)
	mustPanic(t, c.checkInvariants, word)
	e.seg.refs.Store(1)
	c.checkInvariants()
	c.Reset()
	mustBeEmpty(t, p)
}
