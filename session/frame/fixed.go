package frame

// Frames of one size.

import "github.com/weirnet/weir/buffer"

// NewFixed returns the codec of frames that are all size bytes, with nothing
// around them, or a *ConfigError if size is below 1.
func NewFixed(size int) (Codec, error) {
	if size < 1 {
		return nil, &ConfigError{Field: "Fixed size", Value: size, Why: "must be at least 1 byte"}
	}
	return fixed{size}, nil
}

type fixed struct{ size int }

// Cut takes the first bytes if there are enough.
func (f fixed) Cut(in *buffer.Chain, _ int) (Cut, error) {
	if in.Len() < f.size {
		return Cut{Need: f.size}, nil
	}
	return Cut{Body: f.size}, nil
}

// Head appends nothing.
func (f fixed) Head(dst, payload []byte) ([]byte, error) {
	if len(payload) != f.size {
		return dst, &Error{Err: ErrSize, Length: uint64(len(payload)), Limit: uint64(f.size)}
	}
	return dst, nil
}

// Tail appends nothing.
func (f fixed) Tail(dst []byte) []byte { return dst }
