package frame

// However a stream is split, the same frames come out.

import (
	"bytes"
	"fmt"
	"testing"
)

// sample is a codec, and payloads that it takes.
type sample struct {
	codec    Codec
	payloads []string
}

func samples(t testing.TB) map[string]sample {
	t.Helper()
	fixed, err := NewFixed(3)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"hello", "", "a", "\x00\x00\x00\x00\x00", "worlds", ""}
	long := append([]string{string(bytes.Repeat([]byte{'x'}, 200))}, words...)
	all := map[string]sample{
		"default":        {Default(), words},
		"1 byte":         {mustPrefix(t, LengthPrefix{Width: 1}), long},
		"2 bytes":        {mustPrefix(t, LengthPrefix{Width: 2}), words},
		"2 bytes little": {mustPrefix(t, LengthPrefix{Width: 2, LittleEndian: true}), words},
		"4 bytes little": {mustPrefix(t, LengthPrefix{LittleEndian: true}), words},
		"8 bytes":        {mustPrefix(t, LengthPrefix{Width: 8}), words},
		"8 bytes little": {mustPrefix(t, LengthPrefix{Width: 8, LittleEndian: true}), words},
		"itself":         {mustPrefix(t, LengthPrefix{Adjust: 4}), words},
		"uncounted":      {mustPrefix(t, LengthPrefix{Width: 1, Adjust: -2}), []string{"ab", "abc", "\x00\x00"}},
		"varint":         {mustPrefix(t, LengthPrefix{Width: Varint}), long},
		"lines":          {Lines(), []string{"hello", "", "a\rb", "", "\r\rc", "world"}},
		"fixed":          {fixed, []string{"one", "two", "\x00\x00\x00", "six"}},
	}
	for _, sep := range []string{"\r\n", "aab", "\x00", "--- end of it --"} {
		c, err := NewDelimiter(Delimiter{Bytes: sep})
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprintf("delimiter %q", sep)] = sample{c, []string{"hello", "", "\r", "-b-", "a-", "\n", ""}}
	}
	return all
}

// stream returns the frames of a sample, count times, and what must come out.
func (s sample) stream(t *testing.T, count int) ([]byte, cutting) {
	t.Helper()
	var wire []byte
	var want cutting
	for i := range count {
		payload := []byte(s.payloads[i%len(s.payloads)])
		frame, err := encode(s.codec, payload)
		if err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		wire = append(wire, frame...)
		want.add(payload)
	}
	return wire, want
}

// Three pieces, for every pair of places to cut the stream at.
func TestEverySplit(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			wire, want := s.stream(t, len(s.payloads))
			step := 1 + len(wire)/200
			for i := 0; i <= len(wire); i += step {
				for j := i; j <= len(wire); j += step {
					c := newSession(t, s.codec)
					c.receive(wire[:i], false)
					c.receive(wire[i:j], j%2 == 1)
					c.receive(wire[j:], false)
					c.end().mustEqual(t, want)
				}
			}
		})
	}
}

// Byte by byte, each in a segment of its own, or joined as a session does it.
func TestOneByteAtATime(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			wire, want := s.stream(t, 3*len(s.payloads))
			for _, joined := range []bool{false, true} {
				for _, impatient := range []bool{false, true} {
					c := newSession(t, s.codec)
					c.impatient = impatient
					for i := range wire {
						c.receive(wire[i:i+1], joined)
					}
					c.end().mustEqual(t, want)
				}
			}
		})
	}
}

func TestThousandFramesInOneSegment(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			wire, want := s.stream(t, 1000)
			c := newSession(t, s.codec)
			c.receive(wire, false)
			if c.calls != 1001 {
				t.Errorf("%d calls of Cut, want 1001", c.calls)
			}
			c.end().mustEqual(t, want)
		})
	}
}

func TestFramesAcrossManySegments(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			wire, want := s.stream(t, 100)
			for size := 1; size < 64; size += 1 + size/3 {
				in := chainOf(t, wire, size)
				c := &session{t: t, codec: s.codec, in: in}
				for c.cut() {
				}
				c.out.rest = in.Len()
				c.out.mustEqual(t, want)
			}
		})
	}
}

// A frame that is not whole is no frame: what is left is told from nothing.
func TestTruncated(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			frame, err := encode(s.codec, []byte(s.payloads[0]))
			if err != nil {
				t.Fatal(err)
			}
			for n := range frame {
				cutPieces(t, s.codec, frame[:n], nil).mustEqual(t, cutting{rest: n})
			}
		})
	}
}

// Cut, and Head and Tail into 16 bytes, take no memory.
func TestNothingIsAllocated(t *testing.T) {
	needExactAllocs(t)
	all := samples(t)
	all["raw"] = sample{Raw(), []string{"hello"}}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			payload := []byte(s.payloads[0])
			frame, err := encode(s.codec, payload)
			if err != nil {
				t.Fatal(err)
			}
			whole := chainOf(t, frame, 3)
			short := chainOf(t, frame[:len(frame)-1], 3)
			scratch := make([]byte, 16)
			if n := testing.AllocsPerRun(100, func() {
				cut, _ := s.codec.Cut(whole, 0)
				more, _ := s.codec.Cut(short, 0)
				if cut.Need > 0 || more.Need == 0 && name != "raw" {
					t.Errorf("%+v and %+v", cut, more)
				}
				if _, err := s.codec.Head(scratch[:0], payload); err != nil {
					t.Error(err)
				}
				s.codec.Tail(scratch[:0])
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// Codecs are map keys, and equal when they were made alike.
func TestCodecsAreComparable(t *testing.T) {
	seen := map[Codec]string{}
	again := samples(t)
	for name, s := range samples(t) {
		if other, ok := seen[s.codec]; ok {
			t.Errorf("%s equals %s", name, other)
		}
		seen[s.codec] = name
		if s.codec != again[name].codec {
			t.Errorf("%s does not equal itself", name)
		}
	}
	if Raw() != Raw() {
		t.Error("raw does not equal itself")
	}
}
