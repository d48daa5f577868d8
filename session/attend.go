package session

import (
	"encoding/binary"

	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/transport"
)

// Attendant is told of a session's beginning and end besides its handler, where the
// handlers run, and stays when the handler is changed. The engine's clients are told so.
type Attendant interface {
	// Opened is called once, after OnOpen, before anything else; not at all if OnOpen
	// panicked.
	Opened(s *Session)

	// Closed is the very last call, after OnClose, with the same reason.
	Closed(s *Session, reason *CloseError, lost Lost)
}

// Lost counts the messages that a session had taken, and the kernel had not, in whole or
// in part.
type Lost struct {
	Messages int
	Notified int // of these: their completions have been told
}

// Attended returns h for sessions that have an attendant. It is of no use to anybody but
// the engine, since nobody else can name a transport.Key.
func Attended(h Handler, a Attendant, _ transport.Key) Handler { return attended{h, a} }

type attended struct {
	Handler
	attendant Attendant
}

// SendKept sends what was taken for the session before it was open: it is SendNotify, or
// Send if done is nil, but no limit on what may be queued counts. While handlers run it
// gathers. With an error nothing is queued, and done is not called.
func (d Driver) SendKept(p []byte, done func(error)) error {
	s := d.s
	s.mu.Lock()
	defer s.unlock()
	if err := s.accepts(); err != nil {
		return err
	}
	if err := s.append(p); err != nil {
		return err
	}
	if done != nil {
		s.note(done)
	}
	s.push()
	return nil
}

// Frames returns why the codec cannot frame p; nil if it can, or there is none.
func (b *Behaviour) Frames(p []byte) error {
	if b.codec == nil {
		return nil
	}
	var room [aroundBytes]byte
	_, err := b.codec.Head(room[:0], p)
	return err
}

// callOpened and callClosed are callOpen and callClose for the attendant.
func (s *Session) callOpened() {
	if a := s.incoming.Load().attendant; a != nil {
		a.Opened(s)
	}
}

func (s *Session) callClosed(shared *transport.Shared, a Attendant, reason *CloseError) {
	returned := false
	defer s.recovered(shared, &returned)
	var lost Lost
	s.mu.Lock()
	if s.extra != nil {
		lost = s.extra.lost
	}
	s.mu.Unlock()
	a.Closed(s, reason, lost)
	returned = true
}

// loses remembers for the attendant what is lost. The caller holds the lock, and the
// completions have not been told.
func (s *Session) loses() {
	if s.out != nil && s.out.ends.n > 0 {
		s.more().lost = Lost{Messages: s.out.ends.n, Notified: s.out.notes.Len()}
	}
}

// ends counts the messages of a queue that have not left it in full. It knows where each
// ends, as outbound.consumed counts: of the first, and for each that follows how much
// later, as a varint. So a small message costs a byte.
type ends struct {
	first int64
	last  int64
	later fifo.Queue[byte]
	n     int
}

// add adds a message that ends there.
func (e *ends) add(at int64) {
	if e.n == 0 {
		e.first = at
	} else {
		var room [binary.MaxVarintLen64]byte
		e.later.Put(room[:binary.PutUvarint(room[:], uint64(at-e.last))]...)
	}
	e.last = at
	e.n++
}

// pass forgets the messages that end there, or before.
func (e *ends) pass(consumed int64) {
	for e.n > 0 && e.first <= consumed {
		if e.n--; e.n > 0 {
			e.first += e.takeLater()
		}
	}
}

func (e *ends) takeLater() int64 {
	value, shift := uint64(0), 0
	for {
		b := e.later.Take()
		value |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return int64(value)
		}
		shift += 7
	}
}

// reset forgets all of them.
func (e *ends) reset() { *e = ends{} }
