package frame

// Frames that end with a delimiter.

import (
	"bytes"

	"github.com/weirnet/weir/buffer"
)

// delimiterMax is the longest delimiter, bytes.
const delimiterMax = 16

// Delimiter says how frames look that some bytes end. A payload can not contain
// these bytes; one that may has to be escaped, or to go with a LengthPrefix.
type Delimiter struct {
	// Bytes end a frame: 1 to 16 bytes.
	Bytes string

	// TrimCR takes a '\r' before the delimiter as part of it, on reading only.
	// The delimiter must be "\n". A payload that ends with '\r' is refused, since
	// it would come out without.
	TrimCR bool

	// Max is the largest payload, bytes; 0 is DefaultMax.
	Max int
}

// NewDelimiter returns the codec of these frames, or a *ConfigError.
func NewDelimiter(d Delimiter) (Codec, error) {
	switch {
	case d.Bytes == "":
		return nil, &ConfigError{Field: "Delimiter.Bytes", Value: d.Bytes, Why: "must not be empty"}
	case len(d.Bytes) > delimiterMax:
		return nil, &ConfigError{Field: "Delimiter.Bytes", Value: d.Bytes, Why: "must be at most 16 bytes"}
	case d.TrimCR && d.Bytes != "\n":
		return nil, &ConfigError{Field: "Delimiter.TrimCR", Value: d.TrimCR, Why: `goes with the delimiter "\n" only`}
	}
	limit, err := maxOf("Delimiter.Max", d.Max)
	if err != nil {
		return nil, err
	}
	c := delimiter{size: len(d.Bytes), trim: d.TrimCR, max: limit}
	copy(c.bytes[:], d.Bytes)
	return c, nil
}

// Lines returns the codec of lines of text, at most 16 MiB each. It takes lines
// that end with "\n" or "\r\n" and sends "\n".
func Lines() Codec {
	return delimiter{bytes: [delimiterMax]byte{'\n'}, size: 1, trim: true, max: DefaultMax}
}

// delimiter is a Delimiter that makes sense.
type delimiter struct {
	bytes [delimiterMax]byte
	size  int // how many of bytes
	trim  bool
	max   int // bytes of payload
}

// Cut looks for the delimiter where no earlier call could have found all of it,
// so that a stream which comes byte by byte is looked at once. It says that a
// payload is too large as soon as that is sure: with the limit, a delimiter and
// a '\r' to trim there, and no whole delimiter among them.
func (d delimiter) Cut(in *buffer.Chain, seen int) (Cut, error) {
	at := in.Index(d.bytes[:d.size], max(0, seen-d.size+1))
	found := at >= 0
	if !found {
		at = in.Len() - d.size + 1 // where one may begin that has not come whole
	}
	body := at
	if d.trim && body > 0 && (!found || endsWithCR(in, body)) {
		body--
	}
	switch {
	case body > d.max:
		// The length is left out even when it is known, so that the error does not
		// depend on how the stream was split.
		return Cut{}, &Error{Err: ErrTooLarge, Limit: uint64(d.max)}
	case !found:
		return Cut{Need: max(in.Len()+1, d.size), Seen: in.Len()}, nil
	}
	return Cut{Body: body, Tail: at - body + d.size}, nil
}

// endsWithCR reports whether the byte before offset at is a '\r'.
func endsWithCR(in *buffer.Chain, at int) bool {
	var last [1]byte
	in.CopyTo(last[:], at-1)
	return last[0] == '\r'
}

// Head appends nothing. It looks through the payload for the delimiter.
func (d delimiter) Head(dst, payload []byte) ([]byte, error) {
	switch {
	case len(payload) > d.max:
		return dst, &Error{Err: ErrTooLarge, Length: uint64(len(payload)), Limit: uint64(d.max)}
	case d.cuts(payload):
		return dst, &Error{Err: ErrDelimiter, Length: uint64(len(payload))}
	}
	return dst, nil
}

// cuts reports whether payload and the delimiter behind it would be cut before
// the payload's end, or come out without its last byte. With the delimiter "aa"
// that is so for "ba": "baaa" is cut behind "b".
func (d delimiter) cuts(payload []byte) bool {
	sep := d.bytes[:d.size]
	if bytes.Contains(payload, sep) || d.trim && bytes.HasSuffix(payload, []byte{'\r'}) {
		return true
	}
	for k := 1; k < d.size; k++ {
		if bytes.HasSuffix(payload, sep[:k]) && bytes.HasPrefix(sep, sep[k:]) {
			return true
		}
	}
	return false
}

// Tail appends the delimiter.
func (d delimiter) Tail(dst []byte) []byte { return append(dst, d.bytes[:d.size]...) }
