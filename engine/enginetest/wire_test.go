package enginetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/weirnet/weir/session/frame"
)

// What goes over a connection, in frames or without, and what of it is whose: on its
// way out a session's own messages, which come in the order of Send, and marked ones,
// each of which may come between any two of them: of groups, of casts, and letters.

// dialect is a codec, and how long the head of its frames is.
type dialect struct {
	codec frame.Codec
	head  func(b []byte) (n int, ok bool) // of the frame that b begins with; false if b is too short
	most  int                             // bytes of a message
}

// codecs are those that a simulation's connections may speak; the first is none.
var codecs = func() []dialect {
	fixed := func(n int) func([]byte) (int, bool) {
		return func(b []byte) (int, bool) { return n, n <= len(b) }
	}
	varint := func(b []byte) (n int, ok bool) {
		for n = 0; n < len(b) && b[n] >= 0x80; n++ {
		}
		return n + 1, n+1 <= len(b)
	}
	prefix := func(p frame.LengthPrefix) frame.Codec {
		c, err := frame.NewLengthPrefix(p)
		if err != nil {
			panic(err)
		}
		return c
	}
	blocks, err := frame.NewDelimiter(frame.Delimiter{Bytes: "\r\n\r\n"})
	if err != nil {
		panic(err)
	}
	return []dialect{
		{nil, fixed(0), 1 << 30},
		{frame.Default(), fixed(4), 1 << 20},
		{prefix(frame.LengthPrefix{Width: frame.Varint}), varint, 1 << 20},
		{prefix(frame.LengthPrefix{Width: 2, LittleEndian: true}), fixed(2), 1<<16 - 1},
		{prefix(frame.LengthPrefix{Width: 8, Adjust: 8}), fixed(8), 1 << 20},
		{frame.Lines(), fixed(0), 1 << 20},
		{blocks, fixed(0), 1 << 20},
	}
}()

// lines is the codec whose frames may end in two ways.
const lines = 5

// framed returns p as it goes on the wire, or the codec's error.
func framed(codec int, p []byte) ([]byte, error) {
	c := codecs[codec].codec
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
	sizes   []int // of the frames
	largest int   // frame
}

// write makes frames of about n bytes in all, with no message above the limit.
func (k *speech) write(d draws, codec, n, limit int) {
	for end := len(k.wire) + n; len(k.wire) < end; {
		body := make([]byte, 0)
		if !d.chance(0.02) {
			size := d.upTo(min(limit, n))
			at := len(k.wire) * 7 % period
			body = numbers[at : at+min(size, period)]
		}
		frame, err := framed(codec, body)
		if err != nil {
			panic(err)
		}
		if codec == lines && d.chance(0.5) {
			frame = append(frame[:len(frame)-1], "\r\n"...)
		}
		k.add(body, frame)
	}
}

func (k *speech) add(body, frame []byte) {
	k.largest = max(k.largest, len(frame))
	k.bodies = append(k.bodies, body)
	k.sizes = append(k.sizes, len(frame))
	k.wire = append(k.wire, frame...)
}

// ends tells whether a frame ends at a position.
func (k *speech) endsAt(pos int) bool {
	for _, size := range k.sizes {
		if pos <= 0 {
			break
		}
		pos -= size
	}
	return pos == 0
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
	rest      []byte    // missing of a marked message that has begun
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

// next is the next of the session's own messages, all of it; nil if there is none.
func (o *outlet) next() []byte {
	if o.passed == len(o.ends) {
		return nil
	}
	return o.direct[o.at:o.ends[o.passed]]
}

// left is told what the socket took.
func (t *track) left(p []byte) {
	t.out.wire = append(t.out.wire, p...)
	for len(p) > 0 && !t.sim.failed {
		switch o := &t.out; {
		case len(o.rest) > 0:
			n := min(len(p), len(o.rest))
			if !bytes.Equal(p[:n], o.rest[:n]) {
				t.sim.failf("%s: a marked message goes on with other bytes, %d before its end", t, len(o.rest))
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
	if o.between() {
		t.checkLettersBefore(o.at)
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
	if !t.mixed() {
		return p[t.ownLeft(p):]
	}
	head, ok := codecs[t.plan.codec].head(p)
	own := o.next()
	switch {
	case len(own) > 0 && ok && len(own) == head && bytes.HasPrefix(p, own): // an empty one, as no other is
		return p[t.ownLeft(p):]
	case ok && len(p) > head && p[head] != mark:
		return p[t.ownLeft(p):]
	case !ok || len(p) < head+headerBytes:
		o.undecided = p
		return nil
	}
	class, number := readHeader(p[head:])
	body := t.begins(class, number, o.begunAt)
	if t.sim.failed {
		return nil
	}
	wire, err := framed(t.plan.codec, body)
	if err != nil {
		panic(err)
	}
	o.rest = wire
	return p
}

// mixed tells whether marked messages may come.
func (t *track) mixed() bool {
	return len(t.stays) > 0 || len(t.letters) > 0 || t.sim.casts != nil && len(t.sim.casts.posts) > 0
}

// begins is told that a marked message has begun to leave, and returns it.
func (t *track) begins(class, number int, at time.Time) []byte {
	switch class {
	case classLetter:
		return t.letterBegins(number)
	case classCast:
		return t.sim.casts.begins(t, number)
	}
	return t.sim.crowd.begins(t, class, number, at)
}

// A marked message begins with mark, as no other does, its class, and a number.
const (
	mark        = 0xf7
	headerBytes = 1 + 1 + 4

	// Classes below are groups.
	classCast   = 100
	classLetter = 101
)

// header has no byte below 0x80 after the mark: none of a delimiter.
func header(class, number int) []byte {
	h := []byte{mark, byte(0x80 | class)}
	for shift := 21; shift >= 0; shift -= 7 {
		h = append(h, byte(0x80|number>>shift&0x7f))
	}
	return h
}

func readHeader(h []byte) (class, number int) {
	for _, b := range h[2:headerBytes] {
		number = number<<7 | int(b&0x7f)
	}
	return int(h[1] & 0x7f), number
}

// waiting is how many bytes Send took and the socket did not, as far as that is clear.
func (o *outlet) waiting() int { return len(o.direct) - o.at }

// unsentMayBe tells whether n may be what was queued when the session ended.
func (t *track) unsentMayBe(n int) bool {
	o := &t.out
	n -= o.late // they were counted before
	sure, maybe := t.markedQueued()
	least := o.waiting() + len(o.rest) + sure
	switch {
	case o.lost == 0 && len(o.undecided) == 0:
		return least <= n && n <= least+maybe
	case t.mixed():
		return n+o.lost+len(o.undecided) >= least
	}
	return n+o.lost == o.waiting()
}

// markedQueued is how many bytes of letters and casts, not begun, must be queued with the
// session, and how many more may be.
func (t *track) markedQueued() (sure, maybe int) {
	for _, l := range t.letters {
		switch {
		case l.begun:
		case l.returned && l.err == nil:
			sure += l.size
		case !l.returned:
			maybe += l.size
		}
	}
	if c := t.sim.casts; c != nil {
		maybe += c.queued(t)
	}
	return sure, maybe
}
