// Package fuzz lets a fuzzer drive what chance drives in other tests: random operations
// on something and on its model. What a random generator would draw, the fuzzer's input
// decides, so that it can be changed piece by piece, and made shorter when it fails.
package fuzz

import (
	"math/rand/v2"
	"testing"
)

// Choices draws from an input: two bytes for each choice that is not out of more than
// 65,536, and whatever those say for others. It is for one goroutine.
type Choices struct {
	*rand.Rand
	input *input
}

// New returns the choices of an input, of which the first 4 KiB count: fewer choices reach
// as much, and faster.
func New(data []byte) Choices {
	data = data[:min(len(data), most)]
	in := &input{data: data, rest: rand.NewPCG(uint64(len(data)), 1)}
	return Choices{rand.New(in), in}
}

// More tells whether the input decides what is drawn next. Whoever draws all the same gets
// what follows from the input's length, so that a step that has begun can be ended.
func (c Choices) More() bool { return len(c.input.data) >= width }

const (
	width = 2       // bytes that make a number
	most  = 4 << 10 // bytes of an input
)

// input is a rand.Source.
type input struct {
	data []byte
	rest *rand.PCG
}

// Uint64 repeats the next bytes all over the number: some methods of rand.Rand look at its
// upper bits, some at the lower ones.
func (in *input) Uint64() uint64 {
	if len(in.data) < width {
		in.data = nil
		return in.rest.Uint64()
	}
	n := uint64(in.data[0])<<8 | uint64(in.data[1])
	in.data = in.data[width:]
	return n * 0x0001_0001_0001_0001
}

// Seed adds inputs that chance has made, short and long ones: a fuzzer that began with nothing
// would take long to come to a history in which something happens, and `go test`, which runs
// no others, would not come to any.
func Seed(f *testing.F) {
	f.Add([]byte{})
	for i := range uint64(16) {
		chance := rand.New(rand.NewPCG(i, 2))
		data := make([]byte, 16<<(i/2)) // up to 2 KiB
		for at := range data {
			data[at] = byte(chance.Uint32())
		}
		f.Add(data)
	}
}
