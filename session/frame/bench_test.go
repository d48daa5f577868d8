package frame

import (
	"bytes"
	"testing"

	"github.com/weirnet/weir/buffer"
)

// One frame of 64 bytes at the front of many.
func BenchmarkCut(b *testing.B) {
	fixed, err := NewFixed(64)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		codec Codec
	}{
		{"default", Default()},
		{"varint", mustPrefix(b, LengthPrefix{Width: Varint})},
		{"lines", Lines()},
		{"crlf", mustDelimiter(b, Delimiter{Bytes: "\r\n"})},
		{"fixed", fixed},
		{"raw", Raw()},
	} {
		one, err := encode(c.codec, bytes.Repeat([]byte{'x'}, 64))
		if err != nil {
			b.Fatal(err)
		}
		for name, alone := range map[string]int{"whole": 0, "split": 2} { // bytes in a segment each
			b.Run(c.name+"/"+name, func(b *testing.B) {
				in := buffer.NewChain(buffer.NewPool(buffer.Config{}))
				defer in.Reset()
				stream := bytes.Repeat(one, 100)
				appendIn(in, stream[:alone], 1)
				appendIn(in, stream[alone:], len(stream))
				b.ReportAllocs()
				for b.Loop() {
					if cut, err := c.codec.Cut(in, 0); cut.Need > 0 || err != nil {
						b.Fatal(cut, err)
					}
				}
			})
		}
	}
}

// Head and Tail of a frame of 64 bytes. Those with a delimiter look for it.
func BenchmarkHeadTail(b *testing.B) {
	payload := bytes.Repeat([]byte{'x'}, 64)
	for _, c := range []struct {
		name  string
		codec Codec
	}{
		{"default", Default()},
		{"varint", mustPrefix(b, LengthPrefix{Width: Varint})},
		{"lines", Lines()},
		{"crlf", mustDelimiter(b, Delimiter{Bytes: "\r\n"})},
	} {
		b.Run(c.name, func(b *testing.B) {
			scratch := make([]byte, 16)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.codec.Head(scratch[:0], payload); err != nil {
					b.Fatal(err)
				}
				c.codec.Tail(scratch[:0])
			}
		})
	}
}
