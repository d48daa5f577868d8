package frame

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weirnet/weir/buffer"
)

func mustDelimiter(t testing.TB, d Delimiter) Codec {
	t.Helper()
	c, err := NewDelimiter(d)
	if err != nil {
		t.Fatalf("%+v: %v", d, err)
	}
	return c
}

func TestLinesIsADelimiter(t *testing.T) {
	if c := mustDelimiter(t, Delimiter{Bytes: "\n", TrimCR: true}); c != Lines() {
		t.Errorf("%+v, want %+v", c, Lines())
	}
	if c := mustDelimiter(t, Delimiter{Bytes: "\n"}); c == Lines() {
		t.Error("lines that keep their '\\r' equal those that do not")
	}
}

func TestBadDelimiters(t *testing.T) {
	for _, c := range []struct {
		field string
		value any
		with  Delimiter
	}{
		{"Delimiter.Bytes", "", Delimiter{}},
		{"Delimiter.Bytes", strings.Repeat("\r", 17), Delimiter{Bytes: strings.Repeat("\r", 17)}},
		{"Delimiter.TrimCR", true, Delimiter{Bytes: "\r\n", TrimCR: true}},
		{"Delimiter.TrimCR", true, Delimiter{Bytes: "x", TrimCR: true}},
		{"Delimiter.Max", -1, Delimiter{Bytes: "\n", Max: -1}},
	} {
		_, err := NewDelimiter(c.with)
		wantConfigError(t, err, c.field, c.value)
	}
	mustDelimiter(t, Delimiter{Bytes: strings.Repeat("x", 16)})
}

// What Cut says of a whole stream, and of one that has the same bytes one by one.
func TestDelimiterCut(t *testing.T) {
	crlf := mustDelimiter(t, Delimiter{Bytes: "\r\n", Max: 5})
	lines := mustDelimiter(t, Delimiter{Bytes: "\n", TrimCR: true, Max: 5})
	for _, c := range []struct {
		codec  Codec
		stream string
		want   Cut
	}{
		{crlf, "", Cut{Need: 2}},
		{crlf, "a", Cut{Need: 2, Seen: 1}},
		{crlf, "ab\r", Cut{Need: 4, Seen: 3}},
		{crlf, "\r\n", Cut{Tail: 2}},
		{crlf, "\r\r\n", Cut{Body: 1, Tail: 2}},
		{crlf, "\n\r\n", Cut{Body: 1, Tail: 2}},
		{crlf, "12345\r\nx", Cut{Body: 5, Tail: 2}},
		{crlf, "123456", Cut{Need: 7, Seen: 6}}, // as it would be with 12345\r
		{lines, "", Cut{Need: 1}},
		{lines, "\n", Cut{Tail: 1}},
		{lines, "\r\n", Cut{Tail: 2}},
		{lines, "\r\r\n", Cut{Body: 1, Tail: 2}},
		{lines, "a\rb\n", Cut{Body: 3, Tail: 1}},
		{lines, "12345\n\r\n", Cut{Body: 5, Tail: 1}},
		{lines, "12345\r\n", Cut{Body: 5, Tail: 2}},
		{lines, "12345\r", Cut{Need: 7, Seen: 6}},
	} {
		for _, step := range []int{1, 100} {
			in := chainOf(t, []byte(c.stream), step)
			if cut, err := c.codec.Cut(in, 0); cut != c.want || err != nil {
				t.Errorf("%q: %+v, %v; want %+v", c.stream, cut, err, c.want)
			}
		}
	}
}

// The error is the same whether the delimiter has come or not, and comes before
// more than the limit and a delimiter are there.
func TestDelimiterTooLarge(t *testing.T) {
	for name, c := range map[string]struct {
		with Delimiter
		most int // bytes that may be there without an error
	}{
		"one byte":     {Delimiter{Bytes: "\n", Max: 10}, 10},
		"two bytes":    {Delimiter{Bytes: "\r\n", Max: 10}, 11},
		"three bytes":  {Delimiter{Bytes: "abc", Max: 10}, 12},
		"lines":        {Delimiter{Bytes: "\n", Max: 10, TrimCR: true}, 11},
		"with default": {Delimiter{Bytes: "\n"}, DefaultMax},
	} {
		t.Run(name, func(t *testing.T) {
			codec := mustDelimiter(t, c.with)
			limit := c.with.Max
			if limit == 0 {
				limit = DefaultMax
			}
			want := Error{Err: ErrTooLarge, Limit: uint64(limit)}
			text := bytes.Repeat([]byte{'x'}, c.most+1)

			cut, err := codec.Cut(chainOf(t, text[:c.most], 64<<10), 0)
			if err != nil || cut.Need != c.most+1 || cut.Seen != c.most {
				t.Errorf("with %d bytes: %+v, %v", c.most, cut, err)
			}
			_, err = codec.Cut(chainOf(t, text, 64<<10), 0)
			wantError(t, err, want, "")
			_, err = codec.Cut(chainOf(t, text, 64<<10), c.most)
			wantError(t, err, want, "")
			_, err = codec.Cut(chainOf(t, append(text[:limit+1], c.with.Bytes...), 64<<10), 0)
			wantError(t, err, want, "")

			_, err = codec.Cut(chainOf(t, append(text[:limit:limit], c.with.Bytes...), 64<<10), 0)
			if err != nil {
				t.Errorf("the largest that is allowed: %v", err)
			}
		})
	}
	_, err := mustDelimiter(t, Delimiter{Bytes: "\n", Max: 3}).Cut(chainOf(t, []byte("long\n"), 9), 0)
	wantError(t, err, Error{Err: ErrTooLarge, Limit: 3}, "frame: too large: no delimiter behind at most 3 bytes")
}

func TestDelimiterHeadErrors(t *testing.T) {
	for _, c := range []struct {
		with    Delimiter
		payload string
		ok      bool
	}{
		{Delimiter{Bytes: "\n"}, "a\nb", false},
		{Delimiter{Bytes: "\n"}, "\n", false},
		{Delimiter{Bytes: "\n"}, "b\r", true},
		{Delimiter{Bytes: "\n", TrimCR: true}, "b\r", false},
		{Delimiter{Bytes: "\n", TrimCR: true}, "\r", false},
		{Delimiter{Bytes: "\n", TrimCR: true}, "\rb", true},
		{Delimiter{Bytes: "\r\n"}, "a\r\nb", false},
		{Delimiter{Bytes: "\r\n"}, "a\r", true},
		{Delimiter{Bytes: "\r\n"}, "\n\r", true},
		{Delimiter{Bytes: "aa"}, "ba", false}, // baaa is cut behind b
		{Delimiter{Bytes: "aa"}, "ab", true},
		{Delimiter{Bytes: "abab"}, "xab", false},
		{Delimiter{Bytes: "abab"}, "xa", true},
		{Delimiter{Bytes: "abab"}, "ab", false},
		{Delimiter{Bytes: "aba"}, "xab", false},
		{Delimiter{Bytes: "aba"}, "xa", true},
	} {
		codec := mustDelimiter(t, c.with)
		if !c.ok {
			wantHeadError(t, codec, []byte(c.payload), Error{Err: ErrDelimiter, Length: uint64(len(c.payload))})
		}
		wire := checkHead(t, codec, referToDelimiter(c.with), []byte(c.payload))
		if (wire != nil) != c.ok {
			t.Errorf("%+v, %q: became %q", c.with, c.payload, wire)
		}
	}
	codec := mustDelimiter(t, Delimiter{Bytes: "\n", Max: 3})
	wantHeadError(t, codec, []byte("long"), Error{Err: ErrTooLarge, Length: 4, Limit: 3})
	_, err := codec.Head(nil, []byte("a\n"))
	wantError(t, err, Error{Err: ErrDelimiter, Length: 2}, "frame: delimiter in the payload")
}

// What was seen is not looked at again: a delimiter that was put there is not
// found, and one that may have begun there is.
func TestDelimiterDoesNotLookTwice(t *testing.T) {
	codec := mustDelimiter(t, Delimiter{Bytes: "END"})
	for stream, c := range map[string]struct {
		seen int
		want Cut
	}{
		"xxENDxx":    {5, Cut{Need: 8, Seen: 7}},
		"xxENDxxEND": {5, Cut{Body: 7, Tail: 3}},
		"xxxEND":     {5, Cut{Body: 3, Tail: 3}},
		"xEND":       {2, Cut{Body: 1, Tail: 3}},
		"END":        {1, Cut{Tail: 3}},
	} {
		cut, err := codec.Cut(chainOf(t, []byte(stream), 4), c.seen)
		if cut != c.want || err != nil {
			t.Errorf("%q, %d seen: %+v, %v; want %+v", stream, c.seen, cut, err, c.want)
		}
	}
}

// A megabyte that comes byte by byte is looked at once: this takes some hundred
// milliseconds, and minutes if each call began at the front.
func TestMegabyteByteByByte(t *testing.T) {
	codec := mustDelimiter(t, Delimiter{Bytes: "\r\n"})
	in := buffer.NewChain(buffer.NewPool(buffer.Config{}))
	defer in.Reset()
	const size = 1 << 20
	var seen int
	for i := range size {
		in.Append([]byte{'x'})
		cut, err := codec.Cut(in, seen)
		if err != nil || cut.Need != max(i+2, 2) {
			t.Fatalf("with %d bytes: %+v, %v", i+1, cut, err)
		}
		seen = cut.Seen
	}
	in.Append([]byte("\r\n"))
	cut, err := codec.Cut(in, seen)
	if want := (Cut{Body: size, Tail: 2}); cut != want || err != nil {
		t.Errorf("%+v, %v; want %+v", cut, err, want)
	}
}
