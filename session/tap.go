package session

import (
	"errors"
	"io"
	"syscall"

	"github.com/weirnet/weir/internal/transport"
)

// A Tap is a way to a session's bytes without a handler: what comes is taken by whoever
// wants it, when he wants it. It is of use to package session/netconn, which adds the
// waiting; like Driver, nobody else can make one. All methods may be called from any
// goroutine, and none waits.
//
// While a session has a tap
//
//   - what it receives stays in its strand until it is taken. So when there is enough of
//     it the loop stops reading, and the peer's FIN, or an error, ends the session only
//     after everything before it was taken.
//   - the peer's FIN leaves it open for writing, in every engine.
//   - no codec is at work in either direction.
//   - output above high water does not stop the reading: whoever writes waits himself.
//
// The session's lock guards the fields.
type Tap struct {
	s        *Session
	shared   *transport.Shared // nil if the session had ended before
	readable chan<- struct{}   // has a value when it is worth trying to read
	writable chan<- struct{}   // and to write
	wanting  bool              // somebody was refused because there was no room
	sawFIN   bool              // the peer's FIN came, and was kept from the handlers
	toldFIN  bool              // and TryRead has returned it
	unsure   bool              // TryRead waits for who writes, to know whether it is one
	off      bool              // the session has a handler again, or another tap
}

// Errors of a Tap.
var (
	// ErrTapShut: the session has a handler again.
	ErrTapShut = errors.New("session: tap shut")

	// ErrFINSent: CloseWrite was called.
	ErrFINSent = errors.New("session: closed for writing")
)

// NewTap takes s from its handler, in the middle of the stream: what was received and not
// yet handled is the first to be read. A value is put into readable and writable, if there
// is room, when it is worth trying again after TryRead or TryWrite had nothing to do.
func NewTap(s *Session, readable, writable chan<- struct{}, _ transport.Key) *Tap {
	t := &Tap{s: s, readable: readable, writable: writable}
	s.mu.Lock()
	defer s.unlock()
	if s.link != nil {
		t.shared = s.link.Shared()
	}
	before := s.incoming.Load()
	s.behave(&Behaviour{codec: before.codec, attendant: before.attendant, tap: t})
	return t
}

// tap returns the session's tap, or nil.
func (s *Session) tap() *Tap { return s.incoming.Load().tap }

// TryRead takes as much of what was received as there is, up to len(p) bytes. Nothing and
// no error means that there is nothing now. It returns io.EOF after the peer's FIN, and
// else a *CloseError when the session has ended, or is about to.
func (t *Tap) TryRead(p []byte) (n int, err error) {
	s := t.s
	s.mu.Lock()
	defer s.unlock()
	in := s.in
	switch {
	case t.off:
		return 0, ErrTapShut
	case in != nil && in.unread.Len() > 0:
		return s.take(p), nil
	case s.State() > Open && s.ended.Unhandled > 0:
		return 0, s.cause() // the stream was longer, maybe by what was put back
	case t.toldFIN:
		return 0, io.EOF // whatever has become of the session since
	case t.sawFIN, s.flags&peerDone != 0, in != nil && in.finRead:
		return 0, t.fin()
	case s.State() > Open:
		return 0, s.cause()
	case in != nil && in.end != nil:
		return 0, &CloseError{Reason: in.end.why, Err: in.end.cause}
	}
	s.ungather()
	return 0, nil
}

// fin returns what the end of the peer's stream means. The kernel tells of a reset once: if
// that was whoever writes, it tells the loop, which reads, of an end as after a FIN. It says
// EPIPE, to who writes after a real one. The caller holds the lock.
func (t *Tap) fin() error {
	s := t.s
	switch {
	case s.flags&writing != 0:
		t.unsure = true
		return nil
	case s.flags&failed != 0 && s.ended.Err != error(syscall.EPIPE):
		return s.cause()
	}
	t.toldFIN = true
	return io.EOF
}

// cause is why the session ends, as it is known now: what is unsent and unhandled is counted
// until it has closed. The caller holds the lock.
func (s *Session) cause() error {
	now := *s.ended
	return &now
}

// ungather writes what handlers have written so far: whoever waits may be one of them.
func (s *Session) ungather() {
	if s.flags&corked != 0 && s.link != nil {
		s.flush()
	}
}

// take moves what was received to p. The caller holds the lock.
func (s *Session) take(p []byte) int {
	in := s.in
	n, _ := in.unread.Read(p) // an empty chain gives an error, and this one is not
	if in.unread.Len() > 0 {
		in.unread.Compact()
	}
	in.charge()
	if s.flags&scheduled == 0 && s.next() == nothing {
		s.rest()
	}
	return n
}

// TryUnread puts p back, in front of what is still to be read: somebody has read too much.
func (t *Tap) TryUnread(p []byte) error {
	s := t.s
	s.mu.Lock()
	defer s.unlock()
	switch {
	case t.off:
		return ErrTapShut
	case s.State() > Open:
		return s.cause()
	case len(p) == 0:
		return nil
	}
	in := s.work()
	in.unread.Prepend(p)
	in.charge()
	s.tellReader()
	return nil
}

// least is what TryWrite takes when output is below low water, however close together the
// water marks are.
const least = 4 << 10

// TryWrite queues as much of p as there is room for below high water, and writes it. It
// returns how much that was; nothing and no error means that there is no room now. It
// returns ErrBufferFull if the room is lacking in the engine as a whole, which nobody
// tells of. ErrFINSent and a *CloseError come with how much was written nevertheless.
func (t *Tap) TryWrite(p []byte) (n int, err error) {
	s := t.s
	s.mu.Lock()
	defer s.unlock()
	if err := t.refusal(); err != nil || len(p) == 0 {
		return 0, err
	}
	shared, queued, before := s.link.Shared(), s.queued(), s.bytesOut
	room := shared.HighWater - queued
	if queued <= shared.LowWater {
		room = max(room, least)
	}
	if room <= 0 {
		t.wanting = true
		s.ungather()
		return 0, nil
	}
	n = shared.Room(queued, min(len(p), room))
	if n == 0 {
		t.wanting = true // its end is told all the same
		s.ungather()
		return 0, ErrBufferFull
	}
	s.pour(p[:n])
	if s.flags&failed != 0 {
		n = min(max(int(s.bytesOut-before)-queued, 0), n)
		return n, t.refusal()
	}
	return n, nil
}

// refusal tells why nothing may be written, if so.
func (t *Tap) refusal() error {
	s := t.s
	switch {
	case t.off:
		return ErrTapShut
	case s.State() == Connecting:
		return ErrNotConnected
	case s.State() > Open || s.flags&(aborted|failed) != 0:
		return s.cause()
	case s.flags&finWanted != 0:
		return ErrFINSent
	}
	return nil
}

// pour queues bytes as they are, whatever the codec, and writes them unless they are to
// gather. The caller holds the lock, and the session is open.
func (s *Session) pour(p []byte) {
	if s.flags&corked != 0 || !s.writeFree() {
		s.queue().Append(p)
		s.count()
		s.push()
		return
	}
	lent := s.link.Shared().Pool.Adopt(p, nil)
	defer lent.Release()
	s.queue().AppendView(lent, p)
	s.count()
	s.carry()
	if s.out != nil {
		s.out.Unshare(lent)
	}
}

// Return gives the session to h, as SetHandler does: what was not read comes first to it.
// It returns ErrClosed, and nothing has changed, if the session is closing; ErrTapShut if
// it has a handler already.
func (t *Tap) Return(h Handler) error {
	s := t.s
	s.mu.Lock()
	defer s.unlock()
	switch {
	case t.off:
		return ErrTapShut
	case s.State() > Open:
		return ErrClosed
	}
	s.handleWith(h)
	return nil
}

// Close ends the session as its own Close does, and CloseWrite its output, but not if it
// has a handler again.
func (t *Tap) Close() error {
	return t.with(func() error { return t.s.end(ReasonLocalClose, nil, 0) })
}

// CloseWrite is like Close.
func (t *Tap) CloseWrite() error { return t.with(t.s.finish) }

func (t *Tap) with(f func() error) error {
	t.s.mu.Lock()
	defer t.s.unlock()
	if t.off {
		return ErrTapShut
	}
	return f()
}

// Shared is what the sessions of the engine have in common; nil if the session had ended
// before there was a tap.
func (t *Tap) Shared() *transport.Shared { return t.shared }

// shut ends the tap, since the session is about to get a handler or another tap: it will
// be told of the peer's FIN, too. The caller holds the lock.
func (t *Tap) shut() {
	s := t.s
	t.off = true
	if t.sawFIN && s.State() == Open {
		s.flags &^= peerDone
		s.work().finRead = true
	}
	s.tellReader()
	t.wanting = true // whoever waits is to know
	s.tellWriter()
}

// tellReader lets whoever waits to read try again. The caller holds the lock.
func (s *Session) tellReader() {
	if t := s.tap(); t != nil {
		tell(t.readable)
	}
}

// tellUnsure does the same if he has waited for the end of a write.
func (s *Session) tellUnsure() {
	if t := s.tap(); t != nil && t.unsure {
		t.unsure = false
		tell(t.readable)
	}
}

// tellWriter does the same for who waits to write.
func (s *Session) tellWriter() {
	if t := s.tap(); t != nil && t.wanting {
		t.wanting = false
		tell(t.writable)
	}
}

func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told
	}
}
