package frame

// Frames that begin with their length.

import (
	"encoding/binary"
	"math"

	"github.com/weirnet/weir/buffer"
)

// Varint is the Width of a prefix as encoding/binary writes unsigned numbers: 7
// bits a byte, the lowest first, and a high bit that says that more follow.
// Only the shortest form of a number is taken.
const Varint = -1

// prefixMax is the longest prefix, bytes: a varint of 64 bits.
const prefixMax = binary.MaxVarintLen64

// adjustMax bounds LengthPrefix.Adjust: it counts the bytes of headers.
const adjustMax = 64 << 10

// LengthPrefix says how frames with a length before the payload look. The zero
// value is the default: 4 bytes, big-endian, which count the payload only.
type LengthPrefix struct {
	// Width is how many bytes the number has: 1, 2, 4, 8 or Varint; 0 is 4.
	Width int

	// LittleEndian puts the lowest byte first. A varint always does.
	LittleEndian bool

	// Adjust is what the number counts beyond the payload, bytes: 4 if it counts
	// its own 4 bytes too. If it is negative, so many bytes of the payload are
	// not counted, and a payload must have them. At most 64 KiB either way.
	Adjust int

	// Max is the largest payload, bytes; 0 is DefaultMax. A number of 1 or 2
	// bytes may not reach as far; then what it reaches is the limit.
	Max int
}

// NewLengthPrefix returns the codec of these frames, or a *ConfigError.
func NewLengthPrefix(p LengthPrefix) (Codec, error) {
	reach := uint64(math.MaxUint64) // the largest number that can be written
	switch p.Width {
	case 0:
		p.Width, reach = 4, math.MaxUint32
	case 1:
		reach = math.MaxUint8
	case 2:
		reach = math.MaxUint16
	case 4:
		reach = math.MaxUint32
	case 8, Varint:
	default:
		return nil, &ConfigError{Field: "LengthPrefix.Width", Value: p.Width, Why: "must be 1, 2, 4, 8 or Varint"}
	}
	limit, err := maxOf("LengthPrefix.Max", p.Max)
	if err != nil {
		return nil, err
	}
	reach = min(reach, math.MaxInt) // limit plus Adjust stays below that
	switch {
	case p.Adjust < -adjustMax || p.Adjust > adjustMax:
		return nil, &ConfigError{Field: "LengthPrefix.Adjust", Value: p.Adjust, Why: "must be within 65536 bytes"}
	case p.Adjust > int(reach):
		return nil, &ConfigError{Field: "LengthPrefix.Adjust", Value: p.Adjust, Why: "is more than a number of this width can count"}
	case -p.Adjust > limit:
		return nil, &ConfigError{Field: "LengthPrefix.Adjust", Value: p.Adjust, Why: "leaves uncounted more than the largest payload has"}
	}
	if over := limit + p.Adjust - int(reach); over > 0 {
		limit -= over
	}
	return lengthPrefix{width: p.Width, little: p.LittleEndian && p.Width > 1, adjust: p.Adjust, max: limit}, nil
}

// Default returns the codec that messages use if no other is chosen: 4 bytes of
// length, big-endian, and a payload of at most 16 MiB. It is what
// NewLengthPrefix makes of the zero value.
func Default() Codec { return lengthPrefix{width: 4, max: DefaultMax} }

// lengthPrefix is a LengthPrefix that makes sense. Two that mean the same are
// equal.
type lengthPrefix struct {
	width  int // bytes, or Varint
	little bool
	adjust int
	max    int // bytes of payload; plus adjust it can be written in width bytes
}

// Cut reads the number and checks it, before anybody takes memory for what it
// announces.
func (p lengthPrefix) Cut(in *buffer.Chain, _ int) (Cut, error) {
	longest := p.width
	if longest == Varint {
		longest = prefixMax
	}
	front := in.First(longest)
	if len(front) < longest && len(front) < in.Len() {
		var scratch [prefixMax]byte
		front = scratch[:in.CopyTo(scratch[:longest], 0)]
	}
	number, head, err := p.number(front)
	if err != nil {
		return Cut{}, err
	}
	if head > len(front) {
		return Cut{Need: head}, nil
	}
	body, err := p.payload(number)
	if err != nil {
		return Cut{}, err
	}
	if head+body > in.Len() {
		return Cut{Need: head + body}, nil
	}
	return Cut{Head: head, Body: body}, nil
}

// number reads the prefix at the front of b and returns how long it is. If it is
// longer than b, b is not all of it, and there is no number yet.
func (p lengthPrefix) number(b []byte) (number uint64, size int, err error) {
	if p.width == Varint {
		return varint(b)
	}
	if len(b) < p.width {
		return 0, p.width, nil
	}
	switch {
	case p.width == 1:
		number = uint64(b[0])
	case p.width == 2 && p.little:
		number = uint64(binary.LittleEndian.Uint16(b))
	case p.width == 2:
		number = uint64(binary.BigEndian.Uint16(b))
	case p.width == 4 && p.little:
		number = uint64(binary.LittleEndian.Uint32(b))
	case p.width == 4:
		number = uint64(binary.BigEndian.Uint32(b))
	case p.little:
		number = binary.LittleEndian.Uint64(b)
	default:
		number = binary.BigEndian.Uint64(b)
	}
	return number, p.width, nil
}

// varint is number for prefixes of any length. A number that could have been
// written with fewer bytes is refused, so that a frame has one form only.
func varint(b []byte) (number uint64, size int, err error) {
	number, n := binary.Uvarint(b)
	switch {
	case n < 0, n == 0 && len(b) >= binary.MaxVarintLen64:
		return 0, 0, &Error{Err: ErrBadLength, Detail: "varint of more than 64 bits"}
	case n == 0:
		return 0, len(b) + 1, nil
	case n > 1 && b[n-1] == 0:
		return 0, 0, &Error{Err: ErrBadLength, Detail: "varint longer than needed"}
	}
	return number, n, nil
}

// payload returns the length of the payload that number announces. Nothing in
// here overflows, however large the number is.
func (p lengthPrefix) payload(number uint64) (int, error) {
	if number > uint64(p.max+p.adjust) {
		length := number - uint64(p.adjust) // wraps to the right value if adjust is negative
		if p.adjust < 0 && length < number {
			length = math.MaxUint64
		}
		return 0, &Error{Err: ErrTooLarge, Length: length, Limit: uint64(p.max)}
	}
	length := int(number) - p.adjust
	if length < 0 {
		return 0, &Error{Err: ErrBadLength, Length: number, Limit: uint64(p.adjust)}
	}
	return length, nil
}

// Head appends the number.
func (p lengthPrefix) Head(dst, payload []byte) ([]byte, error) {
	length := len(payload)
	if length > p.max {
		return dst, &Error{Err: ErrTooLarge, Length: uint64(length), Limit: uint64(p.max)}
	}
	number := length + p.adjust
	if number < 0 {
		return dst, &Error{Err: ErrBadLength, Length: uint64(length), Limit: uint64(-p.adjust)}
	}
	switch {
	case p.width == Varint:
		dst = binary.AppendUvarint(dst, uint64(number))
	case p.width == 1:
		dst = append(dst, byte(number))
	case p.width == 2 && p.little:
		dst = binary.LittleEndian.AppendUint16(dst, uint16(number))
	case p.width == 2:
		dst = binary.BigEndian.AppendUint16(dst, uint16(number))
	case p.width == 4 && p.little:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(number))
	case p.width == 4:
		dst = binary.BigEndian.AppendUint32(dst, uint32(number))
	case p.little:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(number))
	default:
		dst = binary.BigEndian.AppendUint64(dst, uint64(number))
	}
	return dst, nil
}

// Tail appends nothing.
func (p lengthPrefix) Tail(dst []byte) []byte { return dst }
