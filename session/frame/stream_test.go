package frame

// A stream is cut in two ways: by a codec, from a chain that grows as a session's
// does, and by a reference that has all bytes in one slice and was written
// without looking at the codec.

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"github.com/weirnet/weir/buffer"
)

// cutting is what came out of a stream.
type cutting struct {
	frames [][]byte
	rest   int   // bytes behind the last frame
	err    error // the kind of the error that ended it
}

func (c *cutting) add(frame []byte) { c.frames = append(c.frames, bytes.Clone(frame)) }

func (c cutting) mustEqual(t *testing.T, want cutting) {
	t.Helper()
	if len(c.frames) != len(want.frames) || c.rest != want.rest || c.err != want.err {
		t.Fatalf("%d frames, %d bytes left, error %v; want %d, %d, %v",
			len(c.frames), c.rest, c.err, len(want.frames), want.rest, want.err)
	}
	for i := range c.frames {
		if !bytes.Equal(c.frames[i], want.frames[i]) {
			t.Fatalf("frame %d is %q, want %q", i, c.frames[i], want.frames[i])
		}
	}
}

// session cuts what comes in, as a session does.
type session struct {
	t     *testing.T
	codec Codec
	pool  *buffer.Pool
	in    *buffer.Chain
	need  int
	seen  int
	calls int // of Cut
	out   cutting

	// impatient calls Cut before there are Need bytes, too, which must not find
	// anything.
	impatient bool
}

func newSession(t *testing.T, codec Codec) *session {
	p := buffer.NewPool(buffer.Config{Debug: true})
	return &session{t: t, codec: codec, pool: p, in: buffer.NewChain(p)}
}

// receive takes one piece, in a segment of its own or joined to the last one.
func (s *session) receive(piece []byte, joined bool) {
	s.t.Helper()
	if joined {
		s.in.Append(piece)
	} else {
		s.in.AppendOwned(bytes.Clone(piece), nil)
	}
	for s.out.err == nil && (s.in.Len() >= s.need || s.impatient) {
		early := s.in.Len() < s.need
		if !s.cut() {
			return
		}
		if early {
			s.t.Fatalf("Need was %d, and with %d bytes there was a frame or an error", s.need, s.in.Len())
		}
	}
}

// cut calls Cut once and reports whether that gave a frame or an error.
func (s *session) cut() bool {
	s.t.Helper()
	before := s.in.Len()
	cut, err := s.codec.Cut(s.in, s.seen)
	s.calls++
	switch {
	case s.in.Len() != before:
		s.t.Fatalf("Cut changed the chain from %d to %d bytes", before, s.in.Len())
	case err != nil:
		var e *Error
		if !errors.As(err, &e) || e.Err == nil || e.Error() == "" {
			s.t.Fatalf("error %#v, want an *Error", err)
		}
		s.out.err = e.Err
		return true
	case cut.Need > 0:
		if cut.Need <= before || cut.Seen < 0 || cut.Seen > before {
			s.t.Fatalf("%+v of %d bytes", cut, before)
		}
		s.need, s.seen = cut.Need, cut.Seen
		return false
	}
	if cut.Head < 0 || cut.Body < 0 || cut.Tail < 0 || cut.Seen != 0 || cut.Need != 0 {
		s.t.Fatalf("%+v", cut)
	}
	s.in.Consume(cut.Head)
	s.out.add(s.in.Peek(cut.Body))
	s.in.Consume(cut.Body + cut.Tail)
	s.need, s.seen = 0, 0
	return true
}

// end returns what came out, and checks that nothing is held.
func (s *session) end() cutting {
	s.t.Helper()
	s.out.rest = s.in.Len()
	s.in.Reset()
	if n := s.pool.Stats().Segments; n != 0 {
		s.t.Fatalf("%d segments are still out", n)
	}
	return s.out
}

// cutPieces cuts stream in pieces of the given sizes, which repeat; without any
// it is one piece.
func cutPieces(t *testing.T, codec Codec, stream []byte, sizes []byte) cutting {
	t.Helper()
	s := newSession(t, codec)
	s.impatient = len(sizes) > 0 && sizes[0]%4 == 3
	for i := 0; len(stream) > 0; i++ {
		n, joined := len(stream), false
		if len(sizes) > 0 {
			size := sizes[i%len(sizes)]
			n, joined = min(n, 1+int(size>>1)), size&1 == 1
		}
		s.receive(stream[:n], joined)
		stream = stream[n:]
	}
	return s.end()
}

// referTo is a reference: it returns how long the first frame of b is with all
// around it, and its payload; 0 if it is not whole.
type referTo func(b []byte) (size int, payload []byte, err error)

func (r referTo) cut(stream []byte) cutting {
	var c cutting
	for len(stream) > 0 {
		size, payload, err := r(stream)
		if err != nil {
			c.err = err
			break
		}
		if size == 0 {
			break
		}
		c.add(payload)
		stream = stream[size:]
	}
	c.rest = len(stream)
	return c
}

// referToPrefix counts with numbers that can not overflow.
func referToPrefix(p LengthPrefix) referTo {
	return func(b []byte) (int, []byte, error) {
		number, head, err := readNumber(p, b)
		if err != nil || head == 0 {
			return 0, nil, err
		}
		length := new(big.Int).Sub(number, big.NewInt(int64(p.Adjust)))
		limit := p.Max
		if limit == 0 {
			limit = DefaultMax
		}
		switch {
		case length.Sign() < 0:
			return 0, nil, ErrBadLength
		case length.Cmp(big.NewInt(int64(limit))) > 0:
			return 0, nil, ErrTooLarge
		case length.Int64() > int64(len(b)-head):
			return 0, nil, nil
		}
		size := head + int(length.Int64())
		return size, b[head:size], nil
	}
}

// readNumber returns the number at the front of b and how long it is, 0 if it is
// not whole.
func readNumber(p LengthPrefix, b []byte) (*big.Int, int, error) {
	var digits []byte // most significant first
	base := uint(8)
	width := p.Width
	switch width {
	case Varint:
		base = 7
		for width = 1; width <= len(b) && b[width-1] >= 0x80; width++ {
			if width == 10 {
				return nil, 0, ErrBadLength
			}
		}
	case 0:
		width = 4
	}
	if width > len(b) {
		return nil, 0, nil
	}
	for i := range width {
		d := b[i]
		if p.LittleEndian || p.Width == Varint {
			d = b[width-1-i]
		}
		if p.Width == Varint {
			d &= 0x7F
		}
		digits = append(digits, d)
	}
	number := new(big.Int)
	for _, d := range digits {
		number.Or(number.Lsh(number, base), big.NewInt(int64(d)))
	}
	if p.Width == Varint && (number.BitLen() > 64 || width > 1 && digits[0] == 0) {
		return nil, 0, ErrBadLength
	}
	return number, width, nil
}

// referToDelimiter looks at all of b each time.
func referToDelimiter(d Delimiter) referTo {
	return func(b []byte) (int, []byte, error) {
		limit := d.Max
		if limit == 0 {
			limit = DefaultMax
		}
		payload, _, found := bytes.Cut(b, []byte(d.Bytes))
		size := len(payload) + len(d.Bytes)
		if !found {
			longest := limit + len(d.Bytes)
			if d.TrimCR {
				longest++
			}
			if len(b) >= longest {
				return 0, nil, ErrTooLarge
			}
			return 0, nil, nil
		}
		if d.TrimCR {
			payload = bytes.TrimSuffix(payload, []byte("\r"))
		}
		if len(payload) > limit {
			return 0, nil, ErrTooLarge
		}
		return size, payload, nil
	}
}

func referToFixed(size int) referTo {
	return func(b []byte) (int, []byte, error) {
		if len(b) < size {
			return 0, nil, nil
		}
		return size, b[:size], nil
	}
}

// encode puts payload on the wire.
func encode(codec Codec, payload []byte) ([]byte, error) {
	wire, err := codec.Head(nil, payload)
	if err != nil {
		return nil, err
	}
	return codec.Tail(append(wire, payload...)), nil
}

// checkHead: Head takes a payload exactly when it comes out as it went in. It
// returns the frame, nil if it was refused.
func checkHead(t *testing.T, codec Codec, refer referTo, payload []byte) []byte {
	t.Helper()
	var scratch [16]byte
	head, err := codec.Head(scratch[:0], payload)
	if err != nil {
		// What would have come out?
		wire := append(bytes.Clone(payload), codec.Tail(nil)...)
		if size, got, bad := refer(wire); bad == nil && size > 0 && size == len(wire) && bytes.Equal(got, payload) {
			t.Fatalf("%q was refused with %v for no reason", payload, err)
		}
		return nil
	}
	if len(head) > 0 && &head[0] != &scratch[0] {
		t.Fatalf("a head of %d bytes does not fit 16", len(head))
	}
	wire := codec.Tail(append(bytes.Clone(head), payload...))
	if size, got, err := refer(wire); err != nil || size != len(wire) || !bytes.Equal(got, payload) {
		t.Fatalf("%q was taken, and %q comes out of %q: %d bytes, %v", payload, got, wire, size, err)
	}
	return wire
}
