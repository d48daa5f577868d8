package buffer

import (
	"sync"
	"testing"
	"unsafe"
)

func TestClassEdges(t *testing.T) {
	for _, c := range []struct{ ask, get int }{
		{0, 256}, {1, 256}, {255, 256}, {256, 256}, {257, 512}, {512, 512}, {513, 1024},
		{4095, 4096}, {4096, 4096}, {4097, 8192}, {65536, 65536}, {65537, 131072},
		{262143, 262144}, {262144, 262144}, {262145, 262145}, {64<<20 + 7, 64<<20 + 7},
	} {
		p := NewPool(Config{MaxIdleBytes: 128 << 20})
		s := p.Get(c.ask)
		if s.Cap() != c.get || len(s.Bytes()) != c.get || cap(s.Bytes()) != c.get {
			t.Errorf("Get(%d): capacity %d, want %d", c.ask, s.Cap(), c.get)
		}
		s.Release()
		idle := int64(c.get)
		if c.ask > 256<<10 {
			idle = 0
		}
		want := Stats{Allocated: int64(c.get), Peak: int64(c.get), Idle: idle, Gets: 1}
		if got := p.Stats(); got != want {
			t.Errorf("Get(%d): stats %+v, want %+v", c.ask, got, want)
		}
		p.checkInvariants()
	}
}

func TestGetNegativePanics(t *testing.T) {
	mustPanic(t, func() { NewPool(Config{}).Get(-1) }, "Get of -1 bytes")
}

func TestHeaderAndBlockSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are stated for 64-bit systems")
	}
	if headerBytes != 64 || blockBytes != 208 || unsafe.Sizeof(Chain{}) != 32 {
		t.Errorf("segment %d, block %d, chain %d bytes; comments say 64, 208, 32",
			headerBytes, blockBytes, unsafe.Sizeof(Chain{}))
	}
}

func TestReuse(t *testing.T) {
	p := NewPool(Config{})
	a := p.Get(1000)
	first := unsafe.SliceData(a.Bytes())
	a.Release()
	b := p.Get(600)
	if unsafe.SliceData(b.Bytes()) != first {
		t.Error("idle memory of the class was not reused")
	}
	b.Release()
	want := Stats{Allocated: 1024, Peak: 1024, Idle: 1024, Gets: 2, Hits: 1}
	if got := p.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestRetainShared(t *testing.T) {
	p := checkedPool(t, Config{})
	s := p.Get(10)
	if s.Shared() {
		t.Error("a new segment is shared")
	}
	s.Retain()
	if !s.Shared() {
		t.Error("a retained segment is not shared")
	}
	s.Release()
	if s.Shared() || p.Stats().Segments != 1 {
		t.Error("want one reference and one live segment")
	}
	s.Release()
}

func TestContains(t *testing.T) {
	p := checkedPool(t, Config{})
	whole := pattern(64)
	s := p.Adopt(whole[16:48], nil)
	defer s.Release()
	for _, c := range []struct {
		from, to int
		want     bool
	}{
		{16, 48, true}, {16, 17, true}, {47, 48, true}, {20, 30, true},
		{15, 17, false}, {0, 16, false}, {47, 49, false}, {48, 64, false}, {0, 64, false}, {20, 20, false},
	} {
		if got := s.Contains(whole[c.from:c.to]); got != c.want {
			t.Errorf("Contains([%d:%d]) = %t", c.from, c.to, got)
		}
	}
	if s.Contains(nil) || s.Contains(pattern(4)) {
		t.Error("contains nil or foreign bytes")
	}
}

func TestBytesHasItsOwnCapacity(t *testing.T) {
	p := NewPool(Config{})
	whole := pattern(64)
	s := p.Adopt(whole[:10], nil)
	_ = append(s.Bytes(), 0xFF)
	if whole[10] != 10 {
		t.Error("append to Bytes ran into the memory behind an adopted slice")
	}
	s.Release()
}

func TestAdoptReleasesOnce(t *testing.T) {
	p := checkedPool(t, Config{})
	calls := 0
	b := pattern(100)
	s := p.Adopt(b, func() {
		calls++
		if st := p.Stats(); st.InUse != 0 {
			t.Errorf("still counted when its owner is told: %+v", st)
		}
	})
	if st := p.Stats(); st.InUse != 100 || st.Peak != 100 || st.Segments != 1 || st.Allocated != 0 {
		t.Errorf("adopted bytes are in use, not allocated: %+v", st)
	}
	s.Retain()
	s.Release()
	if calls != 0 {
		t.Fatal("told before the last release")
	}
	s.Release()
	if calls != 1 {
		t.Fatalf("told %d times", calls)
	}
	for i, c := range b {
		if c != byte(i%211) {
			t.Fatalf("adopted memory was changed at %d", i)
		}
	}
	empty := p.Adopt(nil, func() { calls++ })
	if empty.Cap() != 0 {
		t.Error("capacity of nothing")
	}
	empty.Release()
	if calls != 2 {
		t.Error("an empty slice has an owner too")
	}
}

func TestReleaseFunctionMayUseThePool(t *testing.T) {
	p := checkedPool(t, Config{})
	s := p.Adopt(pattern(10), func() { p.Adopt(pattern(20), nil).Release() })
	s.Release()
}

func TestMaxIdleBytes(t *testing.T) {
	p := NewPool(Config{MaxIdleBytes: 10 << 10})
	var out []*Segment
	for range 20 {
		out = append(out, p.Get(1024))
	}
	for _, s := range out {
		s.Release()
		p.checkInvariants()
	}
	if idle := p.Stats().Idle; idle != 10<<10 {
		t.Errorf("%d bytes idle, want all of the bound", idle)
	}

	big := p.Get(16 << 10)
	big.Release()
	if idle := p.Stats().Idle; idle > 10<<10 {
		t.Errorf("%d bytes idle after a segment larger than the bound", idle)
	}
	p.checkInvariants()

	none := NewPool(Config{MaxIdleBytes: -1})
	none.Get(256).Release()
	none.Adopt(pattern(1), nil).Release()
	c := NewChain(none)
	c.Append(pattern(10))
	c.Reset()
	if idle := none.Stats().Idle; idle != 0 {
		t.Errorf("%d bytes idle with a negative bound", idle)
	}
}

// A burst of one size must not keep all others from being reused afterwards.
func TestIdleBoundIsShared(t *testing.T) {
	for _, c := range []struct{ burst, then int }{{64 << 10, 256}, {256, 64 << 10}} {
		const bound = 1 << 20
		p := NewPool(Config{MaxIdleBytes: bound})
		var out []*Segment
		for range bound / c.burst {
			out = append(out, p.Get(c.burst))
		}
		for _, s := range out {
			s.Release()
		}
		if p.Stats().Idle != bound {
			t.Fatalf("the burst of %d did not fill the pool", c.burst)
		}
		p.Get(c.then).Release()
		p.checkInvariants()
		hits := p.Stats().Hits
		p.Get(c.then).Release()
		if p.Stats().Hits != hits+1 {
			t.Errorf("segments of %d are not reused after a burst of %d", c.then, c.burst)
		}
	}
}

func TestSideListsAreBounded(t *testing.T) {
	const bound = 64 << 10
	p := NewPool(Config{MaxIdleBytes: bound})
	var out []*Segment
	c := NewChain(p)
	for range 2000 {
		s := p.Adopt(pattern(1), nil)
		c.AppendView(s, s.Bytes())
		out = append(out, s)
	}
	c.Reset()
	for _, s := range out {
		s.Release()
	}
	p.checkInvariants()
	if idle := p.Stats().Idle; idle > 2*bound/sideShare || idle == 0 {
		t.Errorf("%d bytes of headers and blocks idle", idle)
	}
}

func TestDoubleReleasePanics(t *testing.T) {
	p := NewPool(Config{})
	s := p.Get(1)
	s.Release()
	mustPanic(t, s.Release, "Release", "no reference left")
	mustPanic(t, s.Retain, "Retain", "no reference left")
	p.checkInvariants()
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	needExactAllocs(t)
	p := NewPool(Config{})
	mem := pattern(1000)
	told := 0
	release := func() { told++ }
	zero := func(name string, f func()) {
		t.Helper()
		f()
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	for class := range classCount {
		zero("Get and Release", func() { p.Get(1 << (minClassShift + class)).Release() })
	}
	zero("Adopt and Release", func() { p.Adopt(mem, release).Release() })

	c := NewChain(p)
	s := p.Get(4096)
	defer s.Release()
	views := make([][]byte, 0, 16)
	out := make([]byte, 4096)
	zero("Append, Peek, Consume", func() { c.Append(mem); c.Peek(64); c.Consume(1000) })
	zero("AppendOwned", func() { c.AppendOwned(mem, release); c.Consume(1000) })
	zero("gathering Peek", func() {
		c.AppendOwned(mem, release)
		c.AppendOwned(mem, release)
		c.Peek(2000)
		c.Reset()
	})
	zero("40 entries", func() {
		for i := range 40 {
			c.AppendView(s, s.Bytes()[i*100:i*100+50])
		}
		for !c.Empty() {
			n := 0
			for _, v := range c.Views(views[:0], 1<<20) {
				n += len(v)
			}
			c.Consume(n)
		}
	})
	zero("Unshare", func() { c.AppendView(s, s.Bytes()[:20]); c.Unshare(s); c.Reset() })
	zero("Write and Read", func() { c.Write(mem); c.Read(out) })
}

// Segments wander between goroutines; each of them holds its own reference.
func TestConcurrentUse(t *testing.T) {
	p := checkedPool(t, Config{MaxIdleBytes: 256 << 10})
	const workers = 4
	rounds := scale(20_000)
	inbox := make([]chan *Segment, workers)
	for i := range inbox {
		inbox[i] = make(chan *Segment, workers*4)
	}
	var told sync.Map
	var senders, readers sync.WaitGroup
	for i := range workers {
		senders.Go(func() {
			for r := range rounds {
				var s *Segment
				if r%4 == 0 {
					key := [2]int{i, r}
					s = p.Adopt(pattern(100), func() {
						if _, twice := told.LoadOrStore(key, true); twice {
							t.Error("release function called twice")
						}
					})
				} else {
					s = p.Get(1 << (6 + r%10))
					clear(s.Bytes()[:64])
					s.Bytes()[63] = byte(r)
				}
				for w := range workers {
					s.Retain()
					inbox[w] <- s
				}
				s.Release()
			}
		})
		readers.Go(func() {
			c := NewChain(p)
			for s := range inbox[i] {
				c.AppendView(s, s.Bytes()[:64])
				s.Release()
				if c.Len() > 1000 {
					c.Peek(200)
					c.Consume(c.Len())
				}
			}
			c.Reset()
		})
	}
	senders.Wait()
	for i := range inbox {
		close(inbox[i])
	}
	readers.Wait()
	n := 0
	told.Range(func(any, any) bool { n++; return true })
	if want := workers * ((rounds + 3) / 4); n != want {
		t.Errorf("%d release functions called, want %d", n, want)
	}
}

// What is kept for later use is let go of, of every kind, and nothing else is.
func TestTrim(t *testing.T) {
	p := NewPool(Config{})
	live := p.Get(1000)
	for _, n := range []int{1, 5000, 256 << 10} {
		p.Get(n).Release()
	}
	p.Adopt([]byte("adopted"), nil).Release()
	c := NewChain(p)
	c.Append([]byte("a block"))
	c.Reset()
	before := p.Stats()
	if before.Idle == 0 {
		t.Fatal("nothing is idle")
	}
	p.Trim()
	want := before
	want.Idle = 0
	if got := p.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	p.checkInvariants()
	live.Release()
	if got := p.Stats().Idle; got != 1024 {
		t.Errorf("%d bytes idle after a release, want 1024", got)
	}
	p.Get(5000).Release()
	if got := p.Stats().Hits; got != before.Hits {
		t.Errorf("%d hits, want %d: what was let go of is used", got, before.Hits)
	}
}

// What the pool has of the collector's: garbage counts until it is told that there is
// none, and what others brought never does.
func TestTaken(t *testing.T) {
	p := NewPool(Config{MaxIdleBytes: 4096})
	want := func(taken, live, idle int64, when string) {
		t.Helper()
		if l, i := p.Own(); p.Taken() != taken || l != live || i != idle {
			t.Errorf("%s: taken %d, live %d, idle %d; want %d, %d and %d", when, p.Taken(), l, i, taken, live, idle)
		}
	}
	kept, large := p.Get(1024), p.Get(64<<10)
	want(65<<10, 65<<10, 0, "two segments")
	brought := p.Adopt(make([]byte, 1<<20), nil)
	want(65<<10, 65<<10, 0, "with one that was brought")
	large.Release() // not kept
	want(65<<10, 1<<10, 0, "with garbage")
	before := p.Mark()
	during := p.Get(2048)
	p.Collected(before)
	want(3<<10, 3<<10, 0, "collected")
	before = p.Mark()
	during.Release()
	p.Trim()
	p.Collected(before)
	want(3<<10, 1<<10, 0, "collected with garbage that came meanwhile")
	p.Collected(p.Mark())
	want(1<<10, 1<<10, 0, "collected again")
	p.Collected(before)
	want(1<<10, 1<<10, 0, "told late of a collection")
	kept.Release()
	p.Get(1024).Release()
	want(1<<10, 0, 1<<10, "used again")
	brought.Release()
	if !p.debug { // which keeps none
		want(1<<10, 0, 1<<10+headerBytes, "with a header that is kept")
	}
	p.checkInvariants()
}
