package session

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session/frame"
)

// A strand is what a session has for its handlers to do, in the order in which
// they do it, one thing at a time. A session has one only while there is
// something, so that an idle session pays nothing.
//
// Whoever sets the scheduled flag must see to it that the strand is run: by a
// worker in pool mode, by the loop otherwise. The flag falls when nothing is
// left that may be done now. All fields are guarded by the session's lock.
type strand struct {
	shared  *transport.Shared
	unread  *buffer.Chain          // received, and not yet given to the handler
	tasks   fifo.Queue[func()]     // of Post
	done    fifo.Queue[completion] // of sends whose outcome is known
	end     *ending                // once everything received has been handled
	opening bool                   // OnOpen is due
	finRead bool                   // the peer sends no more
	closing bool                   // OnClose is due
	pingDue bool                   // OnPing is due
	pinging bool                   // the same, or it has not returned
	opened  chan struct{}          // closed when the session is open, or never will be; nil if nobody waits
	duties  uint64                 // that were done by it, also for other sessions, and where it began
	uncount uint64                 // of duties, until the next: what a handler does not count that ran without a strand

	// Of the frame that unread begins with, where there is a codec.
	need int // how many bytes there must be before it is worth looking
	seen int // how many were looked at

	began  uint32 // when its first byte came; as Driver.Deliver has it
	latest uint32 // when the last byte came

	charged int // bytes that Shared.Unread counts for it
}

// ending is how a session is to end after its strand has caught up.
type ending struct {
	why   Reason
	cause error
	how   flags
}

// duty is a thing that handlers have to do.
type duty uint8

const (
	nothing duty = iota
	open
	complete
	task
	ping
	message
	flow
	peerClose
	finish
	closed
)

// runBudget is how many duties one run may do before other sessions have their
// turn.
const runBudget = 256

// work returns the session's strand, to which the caller, who holds the lock and
// knows that the session has its link, adds something.
func (s *Session) work() *strand {
	if s.in == nil {
		shared := s.link.Shared()
		s.in, _ = shared.Strands.Get().(*strand)
		if s.in == nil {
			s.in = &strand{shared: shared, unread: buffer.NewChain(shared.Pool), duties: rand.Uint64()} // unlike any other's
		}
		if s.flags&corked != 0 {
			s.in.uncount = s.in.duties // the handler that runs is the same as before
		}
	}
	return s.in
}

// next returns what the handlers may do now. The caller holds the lock.
func (s *Session) next() duty {
	in := s.in
	switch {
	case in == nil:
		if s.flowDue() {
			return flow
		}
	case in.opening:
		return open
	case in.done.Len() > 0:
		return complete
	case in.tasks.Len() > 0:
		return task
	case in.pingDue: // before messages: while one is handled after the other the peer would not be asked
		return ping
	case in.ready() && !s.paused() && s.tap() == nil:
		return message
	case s.flowDue():
		return flow
	case in.ready() && (in.end == nil || s.flags&userPaused == 0):
		return nothing // reading is paused
	case in.finRead && !in.ready(): // else it is paused, and ends
		return peerClose
	case in.end != nil:
		return finish
	case in.closing:
		return closed
	}
	return nothing
}

// ready tells whether there may be a message.
func (in *strand) ready() bool { return in.unread.Len() > 0 && in.unread.Len() >= in.need }

// partial tells whether there is the beginning of a frame, and not the rest.
func (in *strand) partial() bool { return in.unread.Len() > 0 && in.unread.Len() < in.need }

// flowDue tells whether the handler has not been told on which side of the water
// marks the output is.
func (s *Session) flowDue() bool {
	high, told := s.flags&highWater != 0, s.flags&toldHigh != 0
	return high != told && s.State() == Open && s.incoming.Load().flow != nil
}

// due tells whether the strand is to be run by somebody.
func (s *Session) due() bool { return s.flags&scheduled == 0 && s.next() != nothing }

// run does what is due, up to a budget, and reports whether something is left;
// the strand then stays scheduled. The caller holds the lock, which is released
// while handlers run, and has set the scheduled flag.
func (s *Session) run(shared *transport.Shared) (again bool) {
	s.doDuties(shared)
	s.uncork()
	s.unpin()
	if s.next() != nothing {
		return true
	}
	s.flags &^= scheduled
	s.rest()
	return false
}

// doDuties does what is due, up to a budget.
func (s *Session) doDuties(shared *transport.Shared) {
	for range runBudget {
		d := s.next()
		if d == nothing {
			return
		}
		s.do(d, shared)
	}
}

// rest gives back a strand that has nothing to do.
func (s *Session) rest() {
	in := s.in
	if in == nil {
		return
	}
	in.unread.Compact() // a few bytes that wait must not keep the segment of a whole loop
	in.charge()
	if in.unread.Len() > 0 || in.end != nil || in.finRead {
		return
	}
	s.in = nil
	in.need, in.seen, in.uncount, in.pinging = 0, 0, 0, false // OnPing may have ended its goroutine
	in.shared.Strands.Put(in)
}

// do does one duty. What the handlers send gathers until the end of the run.
func (s *Session) do(d duty, shared *transport.Shared) {
	in := s.work() // to tell of the other side of a water mark takes none, until now
	in.duties++
	in.uncount = 0
	s.flags |= corked
	switch d {
	case open:
		in.opening = false
		s.outside(func() { s.callOpen(shared) })
	case complete:
		first := in.done.Take()
		s.outside(func() { s.callDone(shared, first) })
	case task:
		first := in.tasks.Take()
		s.outside(func() { s.callTask(shared, first) })
	case ping:
		s.ping(shared, in)
	case message:
		s.show(shared)
	case flow:
		high := s.flags&highWater != 0
		s.flags ^= toldHigh
		s.outside(func() { s.callFlow(shared, high) })
	case finish:
		e := in.end
		in.end = nil
		_ = s.end(e.why, e.cause, e.how) // ErrClosed: it is ending, which is what was asked for
	case peerClose:
		in.finRead = false
		s.peerClosed(shared)
	case closed:
		in.closing = false
		s.outside(func() { s.callClose(shared, s.ended) })
	}
}

// show gives the handler the first message of what was received, if there is one and it
// is not too much.
func (s *Session) show(shared *transport.Shared) {
	view, segment, ok := s.takeMessage()
	if !ok {
		return
	}
	if segment != nil {
		defer segment.Release() // also if the handler ends the goroutine
	}
	if shared.Intake != nil && !s.admitMessage(shared.Intake) {
		s.ended.Unhandled += len(view) // the session has ended
		return
	}
	s.view = segment
	s.messagesIn++
	h := s.incoming.Load().message // others may change it, which is about what comes next
	if s.told&transport.Full != 0 {
		s.tell() // reading may go on meanwhile
	}
	s.mu.Unlock()
	s.callMessage(shared, h, Frame{bytes: view, segment: segment, pool: shared.Pool})
	s.mu.Lock()
	s.view = nil
}

// takeMessage takes the first message of what was received, with a count on the
// segment that it lies in; an empty one lies nowhere.
func (s *Session) takeMessage() (view []byte, segment *buffer.Segment, ok bool) {
	in := s.in
	tail := 0
	if codec := s.codec(); codec == nil {
		view = in.unread.First(maxShow)
	} else {
		cut, err := s.cut(codec)
		if err != nil {
			_ = s.end(ReasonProtocolError, err, 0) // cannot fail: it was not ending
			return nil, nil, false
		}
		if in.need, in.seen = cut.Need, cut.Seen; cut.Need > 0 {
			s.bound(in)
			return nil, nil, false
		}
		in.unread.Consume(cut.Head)
		view, tail = in.unread.Peek(cut.Body), cut.Tail
	}
	if len(view) > 0 {
		segment = in.unread.Front()
		segment.Retain()
	}
	in.unread.Consume(len(view) + tail)
	in.began = in.latest
	return view, segment, true
}

// cut asks the codec, which may be a user's: if it panics, at what a peer has sent, that is
// an error, and if it ends its goroutine the session ends here. The caller holds the lock.
func (s *Session) cut(codec frame.Codec) (cut frame.Cut, err error) {
	in, returned := s.in, false
	defer func() {
		if returned {
			return
		}
		value := crash(recover(), in.shared)
		if value != nil {
			err = &PanicError{Value: value}
			return
		}
		_ = s.end(ReasonProtocolError, &PanicError{Value: exited}, 0) // cannot fail: it was not ending
		s.deserted(in.shared)
		s.unlock() // nobody else will
	}()
	cut, err = codec.Cut(in.unread, in.seen)
	returned = true
	if n := in.unread.Len(); err == nil && cut.Need <= 0 && !within(cut, n) {
		err = fmt.Errorf("session: the codec cuts %d, %d and %d of %d bytes", cut.Head, cut.Body, cut.Tail, n)
	}
	return cut, err
}

// within tells whether a codec cuts no more than n bytes.
func within(cut frame.Cut, n int) bool {
	return min(cut.Head, cut.Body, cut.Tail) >= 0 && cut.Head <= n && cut.Body <= n-cut.Head && cut.Tail <= n-cut.Head-cut.Body
}

// maxShow is the most that a handler is given at once, bytes.
const maxShow = 256 << 10

// outside calls f with the lock released.
func (s *Session) outside(f func()) {
	s.mu.Unlock()
	f()
	s.mu.Lock()
}

// drop throws away what was received and will not be handled, since the session
// has ended.
func (s *Session) drop(in *strand) {
	s.ended.Unhandled += in.unread.Len()
	in.unread.Reset()
	in.need, in.seen = 0, 0
	in.charge()
}

// peerClosed acts on the peer's FIN, after everything before it was handled.
func (s *Session) peerClosed(shared *transport.Shared) {
	writes := s.flags&(finWanted|failed) == 0
	halfOpen := shared.HalfOpen && writes
	h, tap := s.incoming.Load().peerClose, s.tap()
	if tap != nil {
		tap.sawFIN = true
	}
	switch {
	case s.State() != Open:
	case tap != nil && writes:
		s.flags |= peerDone
	case s.in.unread.Len() > 0: // and not a frame
		_ = s.end(ReasonProtocolError, io.ErrUnexpectedEOF, 0) // cannot fail: the session is open
	case halfOpen && h != nil:
		s.flags |= peerDone
		s.outside(func() { s.callPeerClose(shared, h) })
	default:
		_ = s.end(ReasonPeerClosed, nil, 0) // cannot fail: the session is open
	}
}
