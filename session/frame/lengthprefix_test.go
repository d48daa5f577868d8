package frame

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/weirnet/weir/buffer"
)

// mustPrefix returns the codec of a configuration that is known to be good.
func mustPrefix(t testing.TB, p LengthPrefix) Codec {
	t.Helper()
	c, err := NewLengthPrefix(p)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	return c
}

func TestZeroLengthPrefixIsTheDefault(t *testing.T) {
	if c := mustPrefix(t, LengthPrefix{}); c != Default() {
		t.Errorf("%+v, want %+v", c, Default())
	}
}

// Two configurations that mean the same give equal codecs.
func TestLengthPrefixesAreEqual(t *testing.T) {
	for _, same := range [][2]LengthPrefix{
		{{Width: 4}, {Max: DefaultMax}},
		{{Width: 1}, {Width: 1, Max: 255}},
		{{Width: 1}, {Width: 1, LittleEndian: true, Max: 1000}},
		{{Width: 2, Adjust: 2}, {Width: 2, Adjust: 2, Max: 65533}},
		{{Width: 2, Adjust: -2}, {Width: 2, Adjust: -2, Max: 65537}},
		{{Width: Varint}, {Width: Varint, LittleEndian: true}},
		{{Width: 8, Max: math.MaxInt}, {Width: 8, Max: math.MaxInt - 1<<20}},
		{{Width: 8, Max: 100, Adjust: -100}, {Width: 8, Max: 100, Adjust: -100}},
	} {
		if a, b := mustPrefix(t, same[0]), mustPrefix(t, same[1]); a != b {
			t.Errorf("%+v is %+v, and %+v is %+v", same[0], a, same[1], b)
		}
	}
	for _, p := range []LengthPrefix{
		{Width: 2}, {LittleEndian: true}, {Adjust: 4}, {Max: DefaultMax - 1}, {Width: Varint},
	} {
		if c := mustPrefix(t, p); c == Default() {
			t.Errorf("%+v equals the default", p)
		}
	}
}

func TestBadLengthPrefixes(t *testing.T) {
	for _, c := range []struct {
		field string
		value any
		with  LengthPrefix
	}{
		{"LengthPrefix.Width", 3, LengthPrefix{Width: 3}},
		{"LengthPrefix.Width", -2, LengthPrefix{Width: -2}},
		{"LengthPrefix.Width", 16, LengthPrefix{Width: 16}},
		{"LengthPrefix.Max", -1, LengthPrefix{Max: -1}},
		{"LengthPrefix.Adjust", 65537, LengthPrefix{Adjust: 65537}},
		{"LengthPrefix.Adjust", -65537, LengthPrefix{Adjust: -65537}},
		{"LengthPrefix.Adjust", math.MinInt, LengthPrefix{Adjust: math.MinInt}},
		{"LengthPrefix.Adjust", math.MaxInt, LengthPrefix{Adjust: math.MaxInt}},
		{"LengthPrefix.Adjust", 256, LengthPrefix{Width: 1, Adjust: 256}},
		{"LengthPrefix.Adjust", 65536, LengthPrefix{Width: 2, Adjust: 65536}},
		{"LengthPrefix.Adjust", -101, LengthPrefix{Adjust: -101, Max: 100}},
	} {
		_, err := NewLengthPrefix(c.with)
		wantConfigError(t, err, c.field, c.value)
	}
	for _, good := range []LengthPrefix{
		{Adjust: 65536}, {Adjust: -65536}, {Width: 1, Adjust: 255}, {Width: 2, Adjust: 65535}, {Adjust: -100, Max: 100},
		{Width: 8, Max: math.MaxInt, Adjust: 65536}, {Width: Varint, Max: math.MaxInt, Adjust: -65536},
	} {
		mustPrefix(t, good)
	}
}

// What is wrong with a prefix, and what exactly is said about it.
func TestLengthPrefixErrors(t *testing.T) {
	be64 := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	ones := bytes.Repeat([]byte{0xFF}, 9)
	for name, c := range map[string]struct {
		with  LengthPrefix
		bytes []byte
		want  Error
		text  string
	}{
		"one too many": {
			LengthPrefix{Max: 9}, []byte{0, 0, 0, 10},
			Error{Err: ErrTooLarge, Length: 10, Limit: 9}, "frame: too large: 10 bytes, at most 9",
		},
		"default limit": {
			LengthPrefix{}, []byte{1, 0, 0, 1},
			Error{Err: ErrTooLarge, Length: 16<<20 + 1, Limit: 16 << 20}, "frame: too large: 16777217 bytes, at most 16777216",
		},
		"4 bytes, all ones": {
			LengthPrefix{LittleEndian: true}, ones[:4],
			Error{Err: ErrTooLarge, Length: math.MaxUint32, Limit: 16 << 20}, "frame: too large: 4294967295 bytes, at most 16777216",
		},
		"8 bytes, above MaxInt": {
			LengthPrefix{Width: 8, Max: math.MaxInt}, be64(math.MaxInt64 + 1),
			Error{Err: ErrTooLarge, Length: math.MaxInt64 + 1, Limit: maxPayload}, "",
		},
		"8 bytes, all ones": {
			LengthPrefix{Width: 8}, be64(math.MaxUint64),
			Error{Err: ErrTooLarge, Length: math.MaxUint64, Limit: 16 << 20}, "frame: too large: 18446744073709551615 bytes, at most 16777216",
		},
		"8 bytes, all ones, itself included": {
			LengthPrefix{Width: 8, Adjust: 8}, be64(math.MaxUint64),
			Error{Err: ErrTooLarge, Length: math.MaxUint64 - 8, Limit: 16 << 20}, "",
		},
		"8 bytes, all ones, more uncounted": {
			LengthPrefix{Width: 8, Adjust: -8}, be64(math.MaxUint64),
			Error{Err: ErrTooLarge, Length: math.MaxUint64, Limit: 16 << 20}, "",
		},
		"itself included, one too many": {
			LengthPrefix{Adjust: 4, Max: 9}, []byte{0, 0, 0, 14},
			Error{Err: ErrTooLarge, Length: 10, Limit: 9}, "",
		},
		"some uncounted, one too many": {
			LengthPrefix{Adjust: -2, Max: 9}, []byte{0, 0, 0, 8},
			Error{Err: ErrTooLarge, Length: 10, Limit: 9}, "",
		},
		"less than itself": {
			LengthPrefix{Adjust: 4}, []byte{0, 0, 0, 3},
			Error{Err: ErrBadLength, Length: 3, Limit: 4}, "frame: bad length: 3, at least 4",
		},
		"zero, itself included": {
			LengthPrefix{Width: Varint, Adjust: 1}, []byte{0},
			Error{Err: ErrBadLength, Length: 0, Limit: 1}, "frame: bad length: 0, at least 1",
		},
		"varint, one too many": {
			LengthPrefix{Width: Varint, Max: 300}, []byte{0xAD, 0x02},
			Error{Err: ErrTooLarge, Length: 301, Limit: 300}, "",
		},
		"varint, zero with two bytes": {
			LengthPrefix{Width: Varint}, []byte{0x80, 0x00},
			Error{Err: ErrBadLength, Detail: "varint longer than needed"}, "frame: bad length: varint longer than needed",
		},
		"varint, one with ten bytes": {
			LengthPrefix{Width: Varint}, []byte{0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
			Error{Err: ErrBadLength, Detail: "varint longer than needed"}, "",
		},
		"varint, the largest": {
			LengthPrefix{Width: Varint}, append(bytes.Clone(ones), 0x01),
			Error{Err: ErrTooLarge, Length: math.MaxUint64, Limit: 16 << 20}, "",
		},
		"varint, 65 bits": {
			LengthPrefix{Width: Varint}, append(bytes.Clone(ones), 0x02),
			Error{Err: ErrBadLength, Detail: "varint of more than 64 bits"}, "frame: bad length: varint of more than 64 bits",
		},
		"varint, no end": {
			LengthPrefix{Width: Varint}, append(bytes.Clone(ones), 0x80),
			Error{Err: ErrBadLength, Detail: "varint of more than 64 bits"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			codec := mustPrefix(t, c.with)
			for _, tail := range []string{"", "behind", "behind, and more than ten"} {
				for step := 1; step <= len(c.bytes); step++ {
					in := chainOf(t, append(bytes.Clone(c.bytes), tail...), step)
					_, err := codec.Cut(in, 0)
					wantError(t, err, c.want, c.text)
				}
			}
			// With less than the prefix there is nothing to complain about.
			cut, err := codec.Cut(chainOf(t, c.bytes[:len(c.bytes)-1], 1), 0)
			if err != nil || cut.Need != len(c.bytes) {
				t.Errorf("without the last byte: %+v, %v; want Need %d", cut, err, len(c.bytes))
			}
		})
	}
}

func TestLengthPrefixHeadErrors(t *testing.T) {
	for _, c := range []struct {
		with    LengthPrefix
		payload int
		want    Error
	}{
		{LengthPrefix{Max: 9}, 10, Error{Err: ErrTooLarge, Length: 10, Limit: 9}},
		{LengthPrefix{Width: 1}, 256, Error{Err: ErrTooLarge, Length: 256, Limit: 255}},
		{LengthPrefix{Width: 1, Adjust: 1}, 255, Error{Err: ErrTooLarge, Length: 255, Limit: 254}},
		{LengthPrefix{Width: 1, Adjust: -1}, 257, Error{Err: ErrTooLarge, Length: 257, Limit: 256}},
		{LengthPrefix{Width: 2}, 65536, Error{Err: ErrTooLarge, Length: 65536, Limit: 65535}},
		{LengthPrefix{}, 16<<20 + 1, Error{Err: ErrTooLarge, Length: 16<<20 + 1, Limit: 16 << 20}},
		{LengthPrefix{Adjust: -3}, 2, Error{Err: ErrBadLength, Length: 2, Limit: 3}},
	} {
		codec := mustPrefix(t, c.with)
		wantHeadError(t, codec, make([]byte, c.payload), c.want)
		fits := c.payload - 1
		if c.want.Err == ErrBadLength {
			fits = c.payload + 1
		}
		if _, err := codec.Head(nil, make([]byte, fits)); err != nil {
			t.Errorf("%+v: %d bytes: %v", c.with, fits, err)
		}
	}
}

// A length that is allowed takes no memory, and one that is not takes only the
// error's.
func TestLengthBombsAllocateNothing(t *testing.T) {
	needExactAllocs(t)
	const gib = 1 << 30
	for name, width := range map[string]int{"4 bytes": 4, "8 bytes": 8, "varint": Varint} {
		for _, limit := range []int{0, gib + 10} {
			var head []byte
			switch width {
			case 4:
				head = binary.BigEndian.AppendUint32(nil, gib)
			case 8:
				head = binary.BigEndian.AppendUint64(nil, gib)
			default:
				head = binary.AppendUvarint(nil, gib)
			}
			in := chainOf(t, append(bytes.Clone(head), "0123456789"...), 3)
			codec := mustPrefix(t, LengthPrefix{Width: width, Max: limit})
			var cut Cut
			var err error
			allocs := testing.AllocsPerRun(100, func() { cut, err = codec.Cut(in, 0) })
			if limit > 0 {
				if want := (Cut{Need: len(head) + gib}); cut != want || err != nil || allocs != 0 {
					t.Errorf("%s, allowed: %+v, %v, %v allocations; want %+v", name, cut, err, allocs, want)
				}
				continue
			}
			wantError(t, err, Error{Err: ErrTooLarge, Length: gib, Limit: DefaultMax}, "")
			if allocs > 1 {
				t.Errorf("%s, refused: %v allocations, want that of the error", name, allocs)
			}
		}
	}
}

// The number is read when it lies across segments, and Head and Body tell where
// the payload is.
func TestLengthPrefixAcrossSegments(t *testing.T) {
	in := buffer.NewChain(buffer.NewPool(buffer.Config{Debug: true}))
	defer in.Reset()
	for _, part := range []string{"\x00", "\x00\x00", "\x05he", "llo", "\x00\x00"} {
		in.AppendOwned([]byte(part), nil)
	}
	cut, err := Default().Cut(in, 0)
	if want := (Cut{Head: 4, Body: 5}); cut != want || err != nil {
		t.Fatalf("%+v, %v; want %+v", cut, err, want)
	}
	in.Consume(9)
	cut, err = Default().Cut(in, 0)
	if want := (Cut{Need: 4}); cut != want || err != nil {
		t.Errorf("%+v, %v; want %+v", cut, err, want)
	}
}
