package load

import (
	"math/rand/v2"

	"github.com/weirnet/weir/internal/sock"
)

// A pattern is the endless stream that connections send and expect back: a block
// of random bytes, repeated. Each connection starts at its own place in it. Any
// stretch of the stream is a plain slice (a window), so sending needs no copy and
// verifying is one comparison.
//
// The length of the block is a prime, so that exchanging, repeating or leaving
// out blocks of any customary size changes what is expected.
type pattern struct {
	bytes []byte // the block, followed by enough of its repetition for one window
}

const (
	patternLength = 65521 // bytes; the largest prime below 64 KiB
	windowMax     = sock.MaxBytes
)

func newPattern() pattern {
	b := make([]byte, patternLength+windowMax)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range patternLength {
		b[i] = byte(random.Uint32())
	}
	for i := patternLength; i < len(b); {
		i += copy(b[i:], b[:patternLength])
	}
	return pattern{b}
}

// window returns n bytes, at most windowMax, from position at. It is a view and
// must not be written to.
func (p pattern) window(at position, n int) []byte {
	return p.bytes[at : int(at)+n : int(at)+n]
}

// A position is a place in the stream, always below patternLength.
type position int

// startOf spreads connections over the block.
func startOf(connection int) position {
	return position(connection * 4099 % patternLength)
}

func (p position) plus(n int) position {
	return position((int(p) + n) % patternLength)
}
