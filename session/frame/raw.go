package frame

// No frames.

import "github.com/weirnet/weir/buffer"

// rawMax is the largest raw frame, bytes: as much as a session reads in a turn
// if no option says otherwise.
const rawMax = 256 << 10

// Raw returns the codec of a stream without frames: whatever is there is one, as
// far as it lies in one segment, at most 256 KiB. Where a message ends does not
// survive the way.
func Raw() Codec { return raw{} }

type raw struct{}

// Cut takes what the first segment has, so that nothing has to be gathered.
func (raw) Cut(in *buffer.Chain, _ int) (Cut, error) {
	if in.Empty() {
		return Cut{Need: 1}, nil
	}
	return Cut{Body: len(in.First(rawMax))}, nil
}

// Head appends nothing. Any payload will do; one of no bytes leaves no trace.
func (raw) Head(dst, _ []byte) ([]byte, error) { return dst, nil }

// Tail appends nothing.
func (raw) Tail(dst []byte) []byte { return dst }
