// Package frame cuts a stream of bytes into frames and puts frames on the wire.
//
//	        ┌──────┬─────────┬──────┬──────┬───────────
//	stream  │ head │ payload │ tail │ head │ payl...
//	        └──────┴─────────┴──────┴──────┴───────────
//	          Cut.Head  .Body   .Tail
//
// A Codec says where the frames lie and what stands around them. It neither
// moves bytes nor keeps any: the stream is a buffer.Chain that belongs to
// whoever cuts it.
//
//   - LengthPrefix: the length of the payload, then the payload. Default is one.
//   - Delimiter: the payload, then some bytes that end it. Lines is one.
//   - Fixed: all payloads have the same size.
//   - Raw: no frames; whatever came in is one.
//
// docs/protocol.md has their bytes.
package frame

import (
	"math"

	"github.com/weirnet/weir/buffer"
)

// DefaultMax is how many bytes of payload a codec allows if nothing else was
// asked for: far more than a message usually has, and not so many that a peer
// who sends as much does harm.
const DefaultMax = 16 << 20

// maxPayload is the most that can be asked for, bytes. It leaves room for what
// is added to it, so that the length of a whole frame is an int.
const maxPayload = math.MaxInt - 1<<20

// Codec is a kind of frames. The values of this package are immutable and
// comparable with ==, and serve any number of sessions and goroutines at once.
type Codec interface {
	// Cut looks for the first frame at the front of in, which it does not change.
	// seen is how many bytes at the front an earlier call has looked at without
	// finding a frame: 0 at first, else Cut.Seen of the call before. An error is
	// an *Error and final; memory is taken for it alone.
	Cut(in *buffer.Chain, seen int) (Cut, error)

	// Head appends to dst what precedes payload on the wire, at most 16 bytes. It
	// returns dst unchanged and an *Error if payload can not be a frame.
	Head(dst []byte, payload []byte) ([]byte, error)

	// Tail appends to dst what follows a payload, at most 16 bytes.
	Tail(dst []byte) []byte
}

// Cut says where the first frame of a stream lies. All numbers are bytes.
type Cut struct {
	Head int // before the payload
	Body int // the payload
	Tail int // behind it

	// Need is above 0 if there is no whole frame yet: there is no use in looking
	// before there are so many bytes, which is always more than there are now.
	// Head, Body and Tail mean nothing then.
	Need int

	// Seen is, with Need, what to give the next call as seen.
	Seen int
}

// maxOf returns the limit for a payload: what was asked for, or the default.
func maxOf(field string, asked int) (int, error) {
	switch {
	case asked == 0:
		return DefaultMax, nil
	case asked < 0:
		return 0, &ConfigError{Field: field, Value: asked, Why: "must be at least 1 byte, or 0 for the default"}
	}
	return min(asked, maxPayload), nil
}
