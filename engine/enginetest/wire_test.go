package enginetest

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/weirnet/weir/session/frame"
)

// What goes over a connection, in frames or without, and what of it is whose: on its
// way out a session's own messages, which come in the order of Send, and messages of
// groups, each of which may come between any two of them.

// codecs are those that a simulation's connections may speak; the first is none.
var codecs = func() []frame.Codec {
	list := []frame.Codec{nil, frame.Default()}
	for _, p := range []frame.LengthPrefix{
		{Width: frame.Varint}, {Width: 2, LittleEndian: true}, {Width: 8, Adjust: 8},
	} {
		c, err := frame.NewLengthPrefix(p)
		if err != nil {
			panic(err)
		}
		list = append(list, c)
	}
	return list
}()

// headLen is how long the head is that b begins with, by the codec's number; false if
// b is too short to tell.
func headLen(codec int, b []byte) (int, bool) {
	n := [...]int{0, 4, 0, 2, 8}[codec]
	if codec == 2 {
		for n = 0; n < len(b) && b[n] >= 0x80; n++ {
		}
		n++
	}
	return n, n <= len(b)
}

// framed returns p as it goes on the wire, or the codec's error.
func framed(codec int, p []byte) ([]byte, error) {
	c := codecs[codec]
	if c == nil {
		return slices.Clone(p), nil
	}
	head, err := c.Head(nil, p)
	if err != nil {
		return nil, err
	}
	return c.Tail(append(head, p...)), nil
}

// speech is what a client sends, if that is frames.
type speech struct {
	wire    []byte
	bodies  [][]byte
	largest int // frame
}

// write makes a speech of about n bytes, with no frame above the limit.
func (k *speech) write(s *simulation, codec, n, limit int) {
	for len(k.wire) < n {
		body := make([]byte, 0)
		if !s.chance(0.02) {
			size := s.upTo(min(limit, n))
			at := len(k.wire) * 7 % period
			body = numbers[at : at+min(size, period)]
		}
		frame, err := framed(codec, body)
		if err != nil {
			panic(err)
		}
		k.largest = max(k.largest, len(frame))
		k.bodies = append(k.bodies, body)
		k.wire = append(k.wire, frame...)
	}
}

// outlet follows what a connection's socket takes from the engine.
type outlet struct {
	wire []byte // all of it
	lost int    // bytes that it took after the peer had closed
	late int    // bytes that it took when the session had closed, and was just writing

	direct   []byte // what Send took, in the order it took it
	ends     []int  // where its messages end
	passed   int    // ends that at has passed or reached
	at       int    // bytes of direct that have left
	accepted int    // messages

	undecided []byte    // the beginning of a message
	begunAt   time.Time // when the first byte of that left
	rest      []byte    // missing of a group's message that has begun
}

// undo forgets a message that was not taken after all.
func (o *outlet) undo(before int) {
	o.direct = o.direct[:before]
	o.ends = o.ends[:len(o.ends)-1]
}

// between tells whether what comes next begins a message.
func (o *outlet) between() bool {
	for o.passed < len(o.ends) && o.ends[o.passed] <= o.at {
		o.passed++
	}
	return o.at == 0 || o.passed > 0 && o.ends[o.passed-1] == o.at
}

// left is told what the socket took.
func (t *track) left(p []byte) {
	t.out.wire = append(t.out.wire, p...)
	for len(p) > 0 && !t.sim.failed {
		switch o := &t.out; {
		case len(o.rest) > 0:
			n := min(len(p), len(o.rest))
			if !bytes.Equal(p[:n], o.rest[:n]) {
				t.sim.failf("%s: a group's message goes on with other bytes, %d before its end", t, len(o.rest))
			}
			o.rest, p = o.rest[n:], p[n:]
		case len(o.undecided) == 0 && !o.between():
			p = p[t.ownLeft(p):]
		default:
			if len(o.undecided) == 0 {
				o.begunAt = t.sim.now
			}
			o.undecided, p = append(o.undecided, p...), nil
			p = t.decide()
		}
	}
}

// ownLeft is told that the rest of one of the session's own messages left, or the
// beginning. It returns how many bytes that is.
func (t *track) ownLeft(p []byte) int {
	o := &t.out
	if o.at == len(o.direct) {
		t.sim.failf("%s: the kernel was given %d bytes that nobody sent", t, len(p))
		return len(p)
	}
	n := min(len(p), o.ends[o.passed]-o.at)
	if !bytes.Equal(p[:n], o.direct[o.at:o.at+n]) {
		t.sim.failf("%s: bytes from %d on are not those that Send took", t, o.at)
	}
	o.at += n
	return n
}

// decide finds out whose the message is that begins, and returns what of it is still
// to be looked at.
func (t *track) decide() (p []byte) {
	o := &t.out
	p, o.undecided = o.undecided, nil
	if len(t.stays) == 0 {
		return p[t.ownLeft(p):]
	}
	head, ok := headLen(t.plan.codec, p)
	switch {
	case ok && len(p) > head && p[head] != mark, ok && len(p) == head && o.isNext(p):
		return p[t.ownLeft(p):]
	case !ok || len(p) < head+headerBytes:
		o.undecided = p
		return nil
	}
	header := p[head+1:]
	number := binary.BigEndian.Uint32(header[1:])
	o.rest = t.sim.crowd.begins(t, int(header[0]), int(number), o.begunAt)
	return p
}

// isNext tells whether p is the next of the session's own messages, all of it.
func (o *outlet) isNext(p []byte) bool {
	return o.passed < len(o.ends) && bytes.Equal(p, o.direct[o.at:o.ends[o.passed]])
}

// A message of a group begins with mark, as nothing else does, the number of the group,
// and its own.
const (
	mark        = 0xf7
	headerBytes = 1 + 1 + 4
)

// waiting is how many bytes Send took and the socket did not, as far as that is clear.
func (o *outlet) waiting() int { return len(o.direct) - o.at }

// unsent tells whether n may be what was queued when the session ended.
func (t *track) unsentMayBe(n int) bool {
	o := &t.out
	n -= o.late // they were counted before
	if o.lost > 0 || len(o.undecided) > 0 {
		if len(t.stays) > 0 {
			return n+o.lost+len(o.undecided) >= o.waiting()+len(o.rest)
		}
		return n+o.lost == o.waiting()
	}
	return n == o.waiting()+len(o.rest)
}
