package buffer

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// content returns what is queued, through Views with few views at a time.
func content(c *Chain) []byte {
	views := c.Views(make([][]byte, 0, 1<<12), c.Len())
	return bytes.Join(views, nil)
}

func wantContent(t *testing.T, c *Chain, want []byte) {
	t.Helper()
	c.checkInvariants()
	if got := content(c); !bytes.Equal(got, want) || c.Len() != len(want) || c.Empty() != (len(want) == 0) {
		t.Fatalf("chain holds %d bytes (Len %d), want %d, equal: %t", len(got), c.Len(), len(want), bytes.Equal(got, want))
	}
}

func segments(c *Chain) []int {
	var caps []int
	for b := c.first; b != nil; b = b.next {
		for i := b.first; i < b.end; i++ {
			caps = append(caps, b.entries[i].seg.Cap())
		}
	}
	return caps
}

func TestEmptyChain(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	wantContent(t, c, nil)
	if c.Peek(0) != nil || c.Peek(5) != nil || c.Peek(-1) != nil || c.Front() != nil {
		t.Error("an empty chain shows bytes")
	}
	c.Consume(0)
	c.Reset()
	c.Append(nil)
	s := p.Get(1)
	defer s.Release()
	c.AppendView(s, nil)
	c.AppendView(s, s.Bytes()[:0])
	if n := c.Unshare(s); n != 0 {
		t.Errorf("unshared %d bytes of nothing", n)
	}
	told := 0
	c.AppendOwned(nil, func() { told++ })
	c.AppendOwned([]byte{}, nil)
	if told != 1 {
		t.Errorf("owner of an empty slice told %d times", told)
	}
	wantContent(t, c, nil)
	mustPanic(t, func() { c.Consume(1) }, "Consume of 1 bytes, 0 are queued")
	mustPanic(t, func() { c.Consume(-1) }, "Consume of -1")
	if p.Stats().Segments != 1 {
		t.Error("an empty chain holds segments")
	}
}

func TestAppendFillsAndDoubles(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	all := pattern(3000)
	for i := range all {
		c.Append(all[i : i+1])
	}
	wantContent(t, c, all)
	if got, want := segments(c), []int{256, 512, 1024, 2048}; !equal(got, want) {
		t.Errorf("segments %v, want %v", got, want)
	}
	c.Reset()

	big := pattern(200 << 10)
	c.Append(big)
	wantContent(t, c, big)
	for _, size := range segments(c) {
		if size > 64<<10 {
			t.Errorf("Append took a segment of %d bytes", size)
		}
	}
	c.Reset()

	c.Append(pattern(300))
	if got := segments(c); !equal(got, []int{512}) {
		t.Errorf("first segment %v, want the class of the bytes", got)
	}
	c.Reset()
	wantContent(t, c, nil)
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Append must not write to memory that somebody else can see or owns.
func TestAppendLeavesOthersAlone(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)

	s := p.Get(256)
	copy(s.Bytes(), "headtail")
	c.AppendView(s, s.Bytes()[:4])
	c.Append([]byte("++++"))
	if got := string(s.Bytes()[:8]); got != "headtail" {
		t.Errorf("shared segment now holds %q", got)
	}
	s.Release()
	wantContent(t, c, []byte("head++++"))
	c.Reset()

	mem := []byte("headtail")
	c.AppendOwned(mem, nil)
	c.Append([]byte("++++"))
	c.Consume(6)
	c.Append([]byte("++++"))
	wantContent(t, c, []byte("il++++++++"))
	if string(mem) != "headtail" {
		t.Errorf("adopted memory now holds %q", mem)
	}
	c.Reset()

	own := p.Adopt(mem, nil)
	c.AppendView(own, own.Bytes()[:4])
	own.Release() // the chain is the only owner, of memory that is not the pool's
	c.Append([]byte("++++"))
	if string(mem) != "headtail" {
		t.Errorf("adopted memory now holds %q", mem)
	}
	c.Reset()
}

func TestAppendOfOwnBytes(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	c.Append([]byte("abc"))
	c.Append(c.Peek(3))
	wantContent(t, c, []byte("abcabc"))
	c.Reset()
}

func TestAppendView(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	s := p.Get(256)
	copy(s.Bytes(), "abcdefgh")
	c.AppendView(s, s.Bytes()[0:2])
	c.AppendView(s, s.Bytes()[2:4]) // touches: one entry, one reference
	if got := len(segments(c)); got != 1 || s.refs.Load() != 2 {
		t.Errorf("%d entries, %d references", got, s.refs.Load())
	}
	c.AppendView(s, s.Bytes()[5:6]) // a gap
	c.AppendView(s, s.Bytes()[0:1]) // backwards
	if got := len(segments(c)); got != 3 || s.refs.Load() != 4 {
		t.Errorf("%d entries, %d references", got, s.refs.Load())
	}
	s.Release()
	wantContent(t, c, []byte("abcdfa"))
	c.Consume(4)
	if p.Stats().Segments != 1 {
		t.Error("segment released while views of it are queued")
	}
	mustPanic(t, func() { c.AppendView(s, []byte("x")) }, "do not lie in the segment")
	c.Consume(2)
	if p.Stats().Segments != 0 {
		t.Error("segment not released with its last view")
	}
}

func TestAppendOwnedReleasesOnce(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	told := map[string]int{}
	tell := func(name string) func() { return func() { told[name]++ } }
	c.AppendOwned(pattern(10), tell("consumed"))
	c.AppendOwned(pattern(10), tell("gathered"))
	c.AppendOwned(pattern(10), tell("gathered too"))
	c.AppendOwned(pattern(10), tell("unshared"))
	c.AppendOwned(pattern(10), tell("read"))
	c.AppendOwned(pattern(10), tell("reset"))

	c.Consume(9)
	if len(told) != 0 {
		t.Fatalf("told too early: %v", told)
	}
	c.Consume(1)
	c.Peek(20)
	if told["consumed"] != 1 || told["gathered"] != 1 || told["gathered too"] != 1 || len(told) != 3 {
		t.Fatalf("after a gathering Peek: %v", told)
	}
	c.Consume(20)
	if n := c.Unshare(c.Front()); n != 10 || told["unshared"] != 1 {
		t.Fatalf("unshared %d bytes: %v", n, told)
	}
	c.Read(make([]byte, 20))
	c.Reset()
	if len(told) != 6 {
		t.Errorf("not all told: %v", told)
	}
	for name, n := range told {
		if n != 1 {
			t.Errorf("%s told %d times", name, n)
		}
	}
}

func TestPeek(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	all := pattern(5000)
	for i := 0; i < len(all); i += 100 {
		c.AppendOwned(all[i:i+100], nil)
	}
	allocated := p.Stats().Allocated
	if got := c.Peek(100); !bytes.Equal(got, all[:100]) || cap(got) != 100 || p.Stats().Allocated != allocated {
		t.Error("a Peek within one segment must be a view with its own capacity")
	}
	if got := c.Peek(0); got != nil {
		t.Error("Peek of nothing")
	}
	for _, n := range []int{101, 102, 250, 257, 1000, 3001, 4999, 5000, 6000} {
		got := c.Peek(n)
		n = min(n, len(all))
		if !bytes.Equal(got, all[:n]) || cap(got) != n || !c.Front().Contains(got) {
			t.Errorf("Peek(%d): %d bytes, capacity %d", n, len(got), cap(got))
		}
		wantContent(t, c, all)
	}
	c.Consume(4321)
	if !bytes.Equal(c.Peek(1000), all[4321:]) {
		t.Error("Peek after Consume")
	}
	c.Reset()
}

// A gather must not disturb bytes that others see, nor a segment queued twice.
func TestPeekOfSharedSegments(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	s := p.Get(256)
	copy(s.Bytes(), "0123456789")
	c.AppendView(s, s.Bytes()[0:3])
	c.AppendView(s, s.Bytes()[6:8])
	s.Release()
	c.Append([]byte("xyz"))
	if got := string(c.Peek(7)); got != "01267xy" {
		t.Errorf("Peek: %q", got)
	}
	wantContent(t, c, []byte("01267xyz"))
	c.Reset()
}

// Peeking one byte further each time copies each byte a few times only.
func TestPeekFurtherAndFurther(t *testing.T) {
	p := NewPool(Config{MaxIdleBytes: -1})
	c := NewChain(p)
	const step, steps = 16 << 10, 128
	for range steps {
		c.AppendOwned(pattern(step), nil)
	}
	for i := range steps {
		if got := len(c.Peek(i*step + 100)); got != i*step+100 {
			t.Fatalf("Peek returned %d bytes", got)
		}
	}
	if got := p.Stats().Allocated; got > 10*step*steps {
		t.Errorf("%d bytes allocated to gather %d", got, step*steps)
	}
	c.Reset()
	mustBeEmpty(t, p)
}

func TestViews(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	all := pattern(100)
	for i := 0; i < 100; i += 5 {
		c.AppendOwned(all[i:i+5], nil)
	}
	for _, q := range []struct{ room, max, views, bytes int }{
		{0, 100, 0, 0}, {3, 100, 3, 15}, {50, 100, 20, 100}, {50, 12, 3, 12}, {50, 10, 2, 10}, {50, 0, 0, 0}, {50, -1, 0, 0},
	} {
		got := c.Views(make([][]byte, 0, q.room), q.max)
		joined := bytes.Join(got, nil)
		if len(got) != q.views || !bytes.Equal(joined, all[:q.bytes]) {
			t.Errorf("room %d, max %d: %d views, %d bytes", q.room, q.max, len(got), len(joined))
		}
		for _, v := range got {
			if len(v) != cap(v) {
				t.Error("a view reaches beyond its bytes")
			}
		}
	}
	kept := append(make([][]byte, 0, 2), []byte("kept"))
	kept = c.Views(kept, 100)
	if len(kept) != 2 || string(kept[0]) != "kept" || !bytes.Equal(kept[1], all[:5]) {
		t.Error("Views must append to what is there")
	}
	wantContent(t, c, all)
	c.Reset()
}

func TestUnshare(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	s := p.Get(64 << 10)
	copy(s.Bytes(), pattern(s.Cap()))
	var want []byte
	add := func(from, to int) {
		c.AppendView(s, s.Bytes()[from:to])
		want = append(want, s.Bytes()[from:to]...)
	}
	add(0, 20)
	c.Append([]byte("between"))
	want = append(want, "between"...)
	add(40, 60)
	add(1000, 1300)
	c.Consume(5)
	want = want[5:]

	if n := c.Unshare(s); n != 15+20+300 {
		t.Errorf("copied %d bytes", n)
	}
	if s.Shared() {
		t.Error("the chain still holds the segment")
	}
	clear(s.Bytes())
	s.Release()
	wantContent(t, c, want)
	if got := segments(c); !equal(got, []int{256, 256, 256, 512}) {
		t.Errorf("segments %v are not of the class of their bytes", got)
	}
	c.Reset()
}

// Blocks are crossed in both directions: emptied at the front, filled at the back.
func TestLongQueue(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	var want []byte
	mem := pattern(7)
	for i := range 1000 {
		c.AppendOwned(mem, nil)
		want = append(want, mem...)
		if i%3 == 2 {
			c.Consume(11)
			want = want[11:]
		}
		if i%50 == 0 {
			wantContent(t, c, want)
			c.Peek(100)
			wantContent(t, c, want)
		}
	}
	c.Consume(c.Len())
	wantContent(t, c, nil)
	if c.first != c.last || !c.first.empty() {
		t.Error("an empty chain keeps more than one block")
	}
}

func TestStreams(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	all := pattern(300 << 10)

	for name, r := range map[string]io.Reader{
		"whole":            bytes.NewReader(all),
		"halves":           iotest.HalfReader(bytes.NewReader(all)),
		"data with EOF":    iotest.DataErrReader(bytes.NewReader(all)),
		"one byte at once": iotest.OneByteReader(bytes.NewReader(all)),
	} {
		if n, err := c.ReadFrom(r); n != int64(len(all)) || err != nil {
			t.Errorf("%s: ReadFrom = %d, %v", name, n, err)
		}
		wantContent(t, c, all)
		var out bytes.Buffer
		if n, err := c.WriteTo(&out); n != int64(len(all)) || err != nil || !bytes.Equal(out.Bytes(), all) {
			t.Errorf("%s: WriteTo = %d, %v", name, n, err)
		}
		wantContent(t, c, nil)
	}

	if n, err := c.Write(all); n != len(all) || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	if err := iotest.TestReader(c, all); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("Read into nothing = %d, %v", n, err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read of nothing = %d, %v", n, err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func TestBadStreams(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	broken := errors.New("broken")

	for name, q := range map[string]struct {
		read readFunc
		n    int64
		err  error
	}{
		"error with bytes": {func(p []byte) (int, error) { return copy(p, "abc"), broken }, 3, broken},
		"never anything":   {func([]byte) (int, error) { return 0, nil }, 0, io.ErrNoProgress},
		"too many":         {func(p []byte) (int, error) { return len(p) + 1, nil }, 0, errBadCount},
		"fewer than none":  {func([]byte) (int, error) { return -1, nil }, 0, errBadCount},
	} {
		if n, err := c.ReadFrom(q.read); n != q.n || err != q.err {
			t.Errorf("%s: ReadFrom = %d, %v", name, n, err)
		}
		c.checkInvariants()
		c.Reset()
	}
	mustPanic(t, func() { c.ReadFrom(readFunc(func([]byte) (int, error) { panic("reader") })) }, "reader")

	for name, q := range map[string]struct {
		write writeFunc
		n     int64
		err   error
	}{
		"error after two":  {func([]byte) (int, error) { return 2, broken }, 2, broken},
		"short, no error":  {func([]byte) (int, error) { return 2, nil }, 2, io.ErrShortWrite},
		"too many":         {func(p []byte) (int, error) { return len(p) + 1, nil }, 0, errBadCount},
		"fewer than none":  {func([]byte) (int, error) { return -1, nil }, 0, errBadCount},
		"error, all taken": {func(p []byte) (int, error) { return len(p), broken }, 5, broken},
	} {
		c.Append([]byte("01234"))
		if n, err := c.WriteTo(q.write); n != q.n || err != q.err {
			t.Errorf("%s: WriteTo = %d, %v", name, n, err)
		}
		wantContent(t, c, []byte("01234")[q.n:])
		c.Reset()
	}
}

// A few bytes of a large segment are copied out of it; what fills a good part of
// one, or was adopted, stays.
func TestCompact(t *testing.T) {
	p := checkedPool(t, Config{})
	c := NewChain(p)
	large := p.Get(64 << 10)
	copy(large.Bytes(), pattern(64<<10))
	c.AppendView(large, large.Bytes()[10:30])
	c.AppendView(large, large.Bytes()[100:200])
	c.AppendOwned(pattern(5), nil)
	half := p.Get(4 << 10)
	copy(half.Bytes(), pattern(4<<10))
	c.AppendView(half, half.Bytes()[:2<<10])
	want := slices.Concat(pattern(64 << 10)[10:30], pattern(64 << 10)[100:200], pattern(5), pattern(4 << 10)[:2<<10])
	c.Compact()
	if large.Shared() || !half.Shared() {
		t.Errorf("large segment shared: %t, half filled one: %t; want false, true", large.Shared(), half.Shared())
	}
	large.Release()
	half.Release()
	wantContent(t, c, want)
	c.Reset()
}

func TestFirst(t *testing.T) {
	c := NewChain(checkedPool(t, Config{}))
	if got := c.First(10); got != nil {
		t.Errorf("First of an empty chain = %q", got)
	}
	c.AppendOwned([]byte("hello"), nil)
	c.AppendOwned([]byte("world"), nil)
	for n, want := range map[int]string{0: "", 3: "hel", 5: "hello", 100: "hello"} {
		if got := c.First(n); string(got) != want || cap(got) != len(want) {
			t.Errorf("First(%d) = %q with capacity %d, want %q", n, got, cap(got), want)
		}
	}
	if c.Len() != 10 {
		t.Errorf("First took bytes: %d are left of 10", c.Len())
	}
	c.Reset()
}

// A release function that panics leaves a chain whose length is what it holds.
func TestReleasePanicsInRead(t *testing.T) {
	c := NewChain(NewPool(Config{}))
	c.AppendOwned([]byte("ab"), func() { panic("release") })
	func() {
		defer func() { _ = recover() }()
		_, _ = c.Read(make([]byte, 8))
	}()
	if c.Len() != 0 {
		t.Errorf("%d bytes are left of what was read", c.Len())
	}
	c.Append([]byte("cd"))
	if got := string(c.Peek(8)); got != "cd" {
		t.Errorf("then %q, want cd", got)
	}
	c.Reset()
}

// A pool that wants to know is told, and the panic goes no further.
func TestPoolIsToldOfPanics(t *testing.T) {
	var told any
	p := NewPool(Config{Panicked: func(value any) { told = value }})
	p.Adopt([]byte("ab"), func() { panic("release") }).Release()
	if told != "release" {
		t.Errorf("told of %v", told)
	}
}
