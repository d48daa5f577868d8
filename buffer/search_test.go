package buffer

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// cut returns a chain of the parts, each in a segment of its own.
func cut(p *Pool, parts ...string) *Chain {
	c := NewChain(p)
	for _, part := range parts {
		c.AppendOwned([]byte(part), nil)
	}
	return c
}

func TestCopyTo(t *testing.T) {
	p := checkedPool(t, Config{})
	c := cut(p, "abc", "d", "efgh")
	defer c.Reset()
	for _, k := range []struct {
		size, from int
		want       string
	}{
		{0, 0, ""}, {1, 0, "a"}, {3, 0, "abc"}, {4, 0, "abcd"}, {8, 0, "abcdefgh"}, {9, 0, "abcdefgh"},
		{1, 2, "c"}, {2, 2, "cd"}, {3, 2, "cde"}, {1, 3, "d"}, {9, 3, "defgh"}, {2, 4, "ef"}, {9, 7, "h"},
		{9, 8, ""}, {9, 9, ""}, {9, math.MaxInt, ""}, {0, 3, ""},
	} {
		dst := bytes.Repeat([]byte{'.'}, k.size)
		n := c.CopyTo(dst, k.from)
		if want := k.want + strings.Repeat(".", k.size-len(k.want)); n != len(k.want) || string(dst) != want {
			t.Errorf("%d bytes from %d: %d, %q; want %q", k.size, k.from, n, dst, want)
		}
	}
	wantContent(t, c, []byte("abcdefgh"))
	if c.CopyTo(nil, 3) != 0 || NewChain(p).CopyTo(make([]byte, 3), 0) != 0 {
		t.Error("bytes copied from or to nothing")
	}
	mustPanic(t, func() { c.CopyTo(nil, -1) }, "CopyTo", "-1")
}

func TestIndex(t *testing.T) {
	p := checkedPool(t, Config{})
	for _, k := range []struct {
		parts string // separated by |
		sep   string
		from  int
		want  int
	}{
		{"", "a", 0, -1}, {"", "", 0, 0}, {"", "", 1, -1},
		{"abc", "", 0, 0}, {"abc", "", 3, 3}, {"abc", "", 4, -1},
		{"abc", "a", 0, 0}, {"abc", "c", 0, 2}, {"abc", "a", 1, -1}, {"abc", "c", 3, -1}, {"abc", "c", 9, -1},
		{"abca", "a", 1, 3}, {"ab|ca", "a", 1, 3}, {"a|b|c|a", "a", 1, 3},
		{"abc", "abcd", 0, -1}, {"abc|d", "abcd", 0, 0}, {"a|b|c|d", "abcd", 0, 0}, {"xa|b|c|dx", "abcd", 0, 1}, {"xa|b|c|dx", "abcd", 2, -1},
		{"xab|xabc", "abc", 0, 4}, {"aab", "ab", 0, 1}, {"a|ab", "ab", 0, 1}, {"aa|b", "ab", 0, 1}, {"aa|aa|ab", "aab", 0, 3},
		{"ab|ab", "abab", 0, 0}, {"ab|abab", "abab", 1, 2}, {"\r|\n", "\r\n", 0, 0}, {"\r\r|\n", "\r\n", 0, 1}, {"\r|\r", "\r\n", 0, -1},
		{"a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t", "hijklmnopq", 0, 7}, // over three blocks
		{"a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t", "hijklmnopq", 7, 7},
		{"a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t", "hijklmnopq", 8, -1},
		{"a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t", "rst", 15, 17},
		{"a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t", "tu", 0, -1},
	} {
		c := cut(p, strings.Split(k.parts, "|")...)
		if got := c.Index([]byte(k.sep), k.from); got != k.want {
			t.Errorf("%q in %q from %d: %d, want %d", k.sep, k.parts, k.from, got, k.want)
		}
		wantContent(t, c, []byte(strings.ReplaceAll(k.parts, "|", "")))
		c.Reset()
	}
	c := cut(p, "abc")
	defer c.Reset()
	mustPanic(t, func() { c.Index([]byte("a"), -1) }, "Index", "-1")
}

// Every sep of few letters, from every offset, in every split of a text.
func TestIndexOfEverySplit(t *testing.T) {
	const text = "aabaabaaabab"
	p := NewPool(Config{})
	for splits := range 1 << (len(text) - 1) {
		c := NewChain(p)
		last := 0
		for i := 1; i <= len(text); i++ {
			if i == len(text) || splits>>(i-1)&1 == 1 {
				c.AppendOwned([]byte(text[last:i]), nil)
				last = i
			}
		}
		for _, sep := range []string{"a", "b", "ab", "ba", "aa", "bb", "aab", "aaa", "abab", "baab", "aabaabaaabab", "aabaabaaababa"} {
			for from := range len(text) + 2 {
				checkIndex(t, c, []byte(text), []byte(sep), from)
			}
		}
		c.Reset()
	}
}

func checkIndex(t *testing.T, c *Chain, text, sep []byte, from int) {
	t.Helper()
	want := -1
	if from <= len(text) {
		if want = bytes.Index(text[from:], sep); want >= 0 {
			want += from
		}
	}
	if got := c.Index(sep, from); got != want {
		t.Fatalf("%q in %q from %d: %d, want %d", sep, text, from, got, want)
	}
}

// A text, cut at places that the fuzzer chooses, is searched as if it were whole.
func FuzzIndex(f *testing.F) {
	f.Add([]byte("aabaab"), []byte{1, 2}, []byte("aab"), uint8(1))
	f.Add([]byte("one\r\ntwo\r\n"), []byte{4, 1, 4}, []byte("\r\n"), uint8(0))
	f.Add(bytes.Repeat([]byte("ab"), 40), []byte{1}, []byte("ba"), uint8(70))
	f.Add([]byte("short"), []byte{}, []byte("longer than it"), uint8(0))
	f.Fuzz(func(t *testing.T, text, sizes, sep []byte, from uint8) {
		p := NewPool(Config{Debug: true})
		c := NewChain(p)
		rest := text
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(sizes) > 0 {
				n = min(n, 1+int(sizes[i%len(sizes)]))
			}
			c.AppendOwned(rest[:n:n], nil)
			rest = rest[n:]
		}
		checkIndex(t, c, text, sep, int(from))

		got := make([]byte, len(sep))
		got = got[:c.CopyTo(got, int(from))]
		if want := text[min(int(from), len(text)):min(int(from)+len(sep), len(text))]; !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %q from %d: %q", len(sep), text, from, got)
		}
		c.checkInvariants()
		c.Reset()
		mustBeEmpty(t, p)
	})
}

func TestSearchAllocatesNothing(t *testing.T) {
	needExactAllocs(t)
	c := NewChain(NewPool(Config{}))
	for range 20 {
		c.AppendOwned([]byte("0123456789"), nil)
	}
	found := 0
	if n := testing.AllocsPerRun(100, func() {
		var sep [4]byte
		found += c.CopyTo(sep[:], 98)
		found += c.Index(sep[:], 1) + c.Index(sep[:], 150) + c.Index([]byte("no such"), 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if found != 101*(4+8+158-1) {
		t.Errorf("found %d", found)
	}
}

// loopIndex is what Index is measured against: a plain loop over bytes that lie in one piece,
// which is less to do than Index has.
func loopIndex(text, sep []byte) int {
	for at := range len(text) - len(sep) + 1 {
		k := 0
		for k < len(sep) && text[at+k] == sep[k] {
			k++
		}
		if k == len(sep) {
			return at
		}
	}
	return -1
}

// A delimiter at the end of text, which lies in segments of at most 512 bytes.
func BenchmarkIndex(b *testing.B) {
	for _, sep := range []string{"\n", "\r\n", "\r\n\r\n--end--\r\n"} {
		for _, size := range []int{64, 4 << 10} {
			text := make([]byte, size)
			for i := range text {
				text[i] = 'a' + byte(rand.IntN(26))
			}
			copy(text[size-len(sep):], sep)
			c := NewChain(NewPool(Config{}))
			for piece := range slices.Chunk(text, 512) {
				c.AppendOwned(piece, nil)
			}
			for name, index := range map[string]func() int{
				"chain": func() int { return c.Index([]byte(sep), 0) },
				"loop":  func() int { return loopIndex(text, []byte(sep)) },
			} {
				b.Run(fmt.Sprintf("%s/sep=%d/text=%d", name, len(sep), size), func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(size))
					for b.Loop() {
						if index() != size-len(sep) {
							b.Fatal("not found")
						}
					}
				})
			}
		}
	}
}
