package frame_test

import (
	"errors"
	"fmt"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/session/frame"
)

// chainOf returns what a connection has received, in the pieces it came in.
func chainOf(pieces ...string) *buffer.Chain {
	in := buffer.NewChain(buffer.NewPool(buffer.Config{}))
	for _, p := range pieces {
		in.Append([]byte(p))
	}
	return in
}

// A frame goes on the wire as head, payload and tail.
func Example() {
	codec := frame.Default()
	payload := []byte("hello")

	var scratch [16]byte // enough for the head or the tail of any codec of this package
	head, err := codec.Head(scratch[:0], payload)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("% x % x\n", head, payload)
	// Output: 00 00 00 05 68 65 6c 6c 6f
}

// The loop of whoever receives: cut until more bytes are needed, wait until they
// are there.
func ExampleCodec() {
	codec := frame.Default()
	in := chainOf()
	need, seen := 0, 0
	for _, piece := range []string{"\x00\x00", "\x00\x03one\x00\x00\x00\x03t", "wo"} {
		in.Append([]byte(piece))
		for in.Len() >= need {
			cut, err := codec.Cut(in, seen)
			if err != nil {
				fmt.Println(err)
				return
			}
			need, seen = cut.Need, cut.Seen
			if need > 0 {
				fmt.Printf("%d bytes of %d\n", in.Len(), need)
				break
			}
			in.Consume(cut.Head)
			fmt.Printf("%q\n", in.Peek(cut.Body))
			in.Consume(cut.Body + cut.Tail)
		}
	}
	// Output:
	// 2 bytes of 4
	// "one"
	// 5 bytes of 7
	// "two"
	// 0 bytes of 4
}

func ExampleNewLengthPrefix() {
	codec, err := frame.NewLengthPrefix(frame.LengthPrefix{Width: 2, Adjust: 2, Max: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	head, _ := codec.Head(nil, []byte("hello"))
	fmt.Printf("% x\n", head) // 5 bytes, and the 2 of the number

	_, err = frame.NewLengthPrefix(frame.LengthPrefix{Width: 3})
	fmt.Println(err)
	// Output:
	// 00 07
	// frame: LengthPrefix.Width: 3: must be 1, 2, 4, 8 or Varint
}

// A peer that announces too much is found out by the number alone.
func ExampleError() {
	_, err := frame.Default().Cut(chainOf("\x7F\xFF\xFF\xFFand so on"), 0)
	var bad *frame.Error
	if errors.As(err, &bad) && errors.Is(err, frame.ErrTooLarge) {
		fmt.Println(bad.Length, bad.Limit)
	}
	fmt.Println(err)
	// Output:
	// 2147483647 16777216
	// frame: too large: 2147483647 bytes, at most 16777216
}

func ExampleNewDelimiter() {
	codec, err := frame.NewDelimiter(frame.Delimiter{Bytes: "\r\n\r\n", Max: 8 << 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	cut, _ := codec.Cut(chainOf("GET / HTTP/1.1\r", "\n\r\nrest"), 0)
	fmt.Println(cut.Body, cut.Tail)

	_, err = codec.Head(nil, []byte("two\r\n\r\nframes"))
	fmt.Println(err)
	// Output:
	// 14 4
	// frame: delimiter in the payload
}

func ExampleLines() {
	in := chainOf("one\r\ntwo\nthr")
	for {
		cut, err := frame.Lines().Cut(in, 0)
		if err != nil || cut.Need > 0 {
			fmt.Println(in.Len(), "bytes left")
			return
		}
		fmt.Printf("%q\n", in.Peek(cut.Body))
		in.Consume(cut.Body + cut.Tail)
	}
	// Output:
	// "one"
	// "two"
	// 3 bytes left
}

func ExampleNewFixed() {
	codec, err := frame.NewFixed(4)
	if err != nil {
		fmt.Println(err)
		return
	}
	cut, _ := codec.Cut(chainOf("pin", "gpong"), 0)
	fmt.Println(cut.Body)
	// Output: 4
}

func ExampleRaw() {
	cut, _ := frame.Raw().Cut(chainOf("whatever is there"), 0)
	fmt.Println(cut.Body)
	// Output: 17
}
