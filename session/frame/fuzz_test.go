package frame

// The codecs against their references: any stream, in any pieces.

import (
	"bytes"
	"testing"
)

// checkStream cuts stream in one piece and in pieces. Both must give what the
// reference gives.
func checkStream(t *testing.T, codec Codec, refer referTo, stream, sizes []byte) {
	t.Helper()
	want := refer.cut(stream)
	cutPieces(t, codec, stream, nil).mustEqual(t, want)
	cutPieces(t, codec, stream, sizes).mustEqual(t, want)
}

// checkRoundTrip takes the pieces of stream as payloads, puts those on the wire
// that Head takes, and cuts them again in other pieces.
func checkRoundTrip(t *testing.T, codec Codec, refer referTo, stream, sizes []byte) {
	t.Helper()
	var want cutting
	var wire []byte
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if len(sizes) > 0 {
			n = min(n, int(sizes[len(sizes)-1-i%len(sizes)]))
		}
		if n == 0 && i >= 2*len(sizes) {
			break
		}
		if frame := checkHead(t, codec, refer, stream[:n]); frame != nil {
			wire = append(wire, frame...)
			want.add(stream[:n])
		}
		stream = stream[n:]
	}
	refer.cut(wire).mustEqual(t, want)
	cutPieces(t, codec, wire, sizes).mustEqual(t, want)
}

func FuzzLengthPrefix(f *testing.F) {
	widths := []int{0, 1, 2, 4, 8, Varint}
	f.Add([]byte("\x00\x00\x00\x05hello\x00\x00\x00\x00\x00\x00\x00\x02yo"), []byte{0, 6}, uint8(0), false, int8(0), uint16(0))
	f.Add([]byte("\x05hello\x00\x02yo"), []byte{1, 0}, uint8(1), false, int8(0), uint16(5))
	f.Add([]byte("\x07\x00hello\x02\x00\x04\x00yo"), []byte{3}, uint8(2), true, int8(2), uint16(100))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x03\x01end\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), []byte{2}, uint8(4), false, int8(-1), uint16(0))
	f.Add([]byte("\x05hello\xAC\x02"+string(make([]byte, 300))+"\x81\x00"), []byte{1, 250}, uint8(5), false, int8(0), uint16(1000))
	f.Add(bytes.Repeat([]byte{0xFF}, 12), []byte{0}, uint8(5), false, int8(0), uint16(0))
	f.Fuzz(func(t *testing.T, stream, sizes []byte, width uint8, little bool, adjust int8, limit uint16) {
		p := LengthPrefix{Width: widths[int(width)%len(widths)], LittleEndian: little, Adjust: int(adjust), Max: int(limit)}
		codec, err := NewLengthPrefix(p)
		if err != nil {
			if p.Max == 0 || -p.Adjust <= p.Max {
				t.Fatalf("%+v: %v", p, err)
			}
			return
		}
		checkStream(t, codec, referToPrefix(p), stream, sizes)
		checkRoundTrip(t, codec, referToPrefix(p), stream, sizes)
	})
}

func FuzzDelimiter(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\n\r\nthree\r\r\n"), []byte{0}, []byte("\n"), true, uint16(0))
	f.Add([]byte("one\r\ntwo\rthree\r\n"), []byte{1, 7}, []byte("\r\n"), false, uint16(20))
	f.Add([]byte("aaabaaaabab"), []byte{3, 2}, []byte("aab"), false, uint16(3))
	f.Add([]byte("caaaa"), []byte{2, 0}, []byte("aa"), false, uint16(9))
	f.Add([]byte("too long\n"), []byte{8}, []byte("\n"), true, uint16(7))
	f.Add([]byte("0123456789abcdef0123456789abcdef"), []byte{30}, []byte("0123456789abcdef"), false, uint16(1))
	f.Fuzz(func(t *testing.T, stream, sizes, sep []byte, trim bool, limit uint16) {
		d := Delimiter{Bytes: string(sep), TrimCR: trim, Max: int(limit)}
		codec, err := NewDelimiter(d)
		if err != nil {
			if len(sep) > 0 && len(sep) <= 16 && (!trim || d.Bytes == "\n") {
				t.Fatalf("%+v: %v", d, err)
			}
			return
		}
		checkStream(t, codec, referToDelimiter(d), stream, sizes)
		checkRoundTrip(t, codec, referToDelimiter(d), stream, sizes)
	})
}

func FuzzFixed(f *testing.F) {
	f.Add([]byte("onetwothree"), []byte{0, 4, 3}, uint8(2))
	f.Add([]byte("short"), []byte{2, 3}, uint8(7))
	f.Add([]byte("bits"), []byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, stream, sizes []byte, size uint8) {
		codec, err := NewFixed(1 + int(size))
		if err != nil {
			t.Fatal(err)
		}
		checkStream(t, codec, referToFixed(1+int(size)), stream, sizes)
		checkRoundTrip(t, codec, referToFixed(1+int(size)), stream, sizes)
	})
}

// Raw frames come out in whatever pieces, but all bytes come, in order.
func FuzzRaw(f *testing.F) {
	f.Add([]byte("some bytes"), []byte{0, 4, 3})
	f.Add(bytes.Repeat([]byte("many"), 1000), []byte{255, 255, 1})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) {
		for _, s := range [][]byte{nil, sizes} {
			got := cutPieces(t, Raw(), stream, s)
			if got.err != nil || got.rest != 0 || !bytes.Equal(bytes.Join(got.frames, nil), stream) {
				t.Fatalf("%d frames, %d bytes left, error %v", len(got.frames), got.rest, got.err)
			}
			for _, frame := range got.frames {
				if len(frame) == 0 || len(frame) > rawMax {
					t.Fatalf("a frame of %d bytes", len(frame))
				}
			}
		}
		if wire, err := encode(Raw(), stream); err != nil || !bytes.Equal(wire, stream) {
			t.Fatalf("%q became %q, %v", stream, wire, err)
		}
	})
}
