package session

import (
	"net/netip"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
)

// Driver is the engine's side of a Session. Its loop calls it, one call at a
// time; Run alone is called by whoever runs the session's handlers. It is of no use to
// anybody else, who cannot name a transport.Key.
//
// Where the loop runs the handlers, they run inside these calls. Where Shared is
// Pooled, a call that returns Due asks for Run to be called, once.
type Driver struct{ s *Session }

// Drive returns the engine's side of s.
func Drive(s *Session, _ transport.Key) Driver { return Driver{s} }

// Opening returns a channel that is closed when the session is Open, before OnOpen is called,
// or when it is certain that it never will be; Ended then tells why. To be called before the
// loop knows of the session, by any goroutine.
func (d Driver) Opening() <-chan struct{} {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	opened := make(chan struct{})
	d.s.work().opened = opened
	return opened
}

// tellOpened ends the wait of whoever has asked for Opening. The caller holds the lock.
func (s *Session) tellOpened() {
	if s.in != nil && s.in.opened != nil {
		close(s.in.opened)
		s.in.opened = nil
	}
}

// Open moves the session from Connecting to Open and has OnOpen called. It
// reports false, and nothing is called, if the session was closed before it
// opened.
func (d Driver) Open() (st transport.Status, opened bool) {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	if s.State() == Connecting {
		opened = true
		s.state.Store(uint32(Open))
		s.flags |= wasOpened
		s.work().opening = true
	}
	s.tellOpened()
	return s.leaveLoop(shared), opened
}

// Deliver gives p, a view of segment that was received at a time in ticks of the
// loop's, to the handler. In any state but Open it is discarded. When Deliver returns and segment is Shared, somebody still refers to
// p and it must not be overwritten.
func (d Driver) Deliver(segment *buffer.Segment, p []byte, at uint32) transport.Status {
	s := d.s
	s.mu.Lock()
	shared, b := s.link.Shared(), s.incoming.Load()
	switch {
	case s.State() != Open || shared.Intake != nil && !s.admitBytes(shared.Intake, len(p)):
		if s.ended != nil {
			s.ended.Unhandled += len(p)
		}
	case shared.Pooled || s.in != nil || s.flags&scheduled != 0 || b.codec != nil || b.tap != nil:
		s.bytesIn += uint64(len(p))
		s.keep(segment, p, at)
	case shared.Intake != nil && !s.admitMessage(shared.Intake):
		s.ended.Unhandled += len(p)
	default:
		s.bytesIn += uint64(len(p))
		s.messagesIn++
		s.flags |= corked | scheduled
		s.view = segment
		s.mu.Unlock()
		s.callMessage(shared, b.message, Frame{bytes: p[:len(p):len(p)], segment: segment, pool: shared.Pool})
		s.mu.Lock()
		s.flags &^= scheduled
		s.hide()
	}
	return s.leaveLoop(shared)
}

// keep leaves p to the strand: as a view if it is the first or large beside its
// segment, else as a copy, so that what waits does not hold on to much more
// memory than it needs; while messages are to wait, nobody knows for how long, it is
// always a copy. Of what follows the beginning of a frame, only the rest of that is
// copied.
func (s *Session) keep(segment *buffer.Segment, p []byte, at uint32) {
	in := s.work()
	in.latest = at
	if in.unread.Len() == 0 {
		in.began = at
	}
	rest := 0
	if len(p)*4 < segment.Cap() {
		switch {
		case s.paused(), s.tap() != nil, s.flags&corked != 0: // handlers are at work, and may be for long
			rest = len(p)
		case in.partial():
			if rest = min(in.need-in.unread.Len(), len(p)); len(p)-rest < smallRest {
				rest = len(p) // also where the codec cannot tell how much is missing: it says one byte
			}
		case in.unread.Len() > 0, !in.shared.Pooled && s.codec() == nil:
			rest = len(p)
		}
	}
	in.unread.Append(p[:rest])
	in.unread.AppendView(segment, p[rest:])
	s.bound(in)
	s.tellReader()
}

// bound ends the session if what is held of unfinished frames is too much. Where a codec looks
// for a frame's end that is known only when it has looked.
func (s *Session) bound(in *strand) {
	if in.charge(); in.partial() && in.shared.Unread.Load() > in.shared.QueuedCap && in.charged > 0 {
		_ = s.end(ReasonOverLimit, ErrUnreadFull, 0) // cannot fail: the session is open
	}
}

// smallRest is the least behind a frame's end that is kept as a view: less is copied, or a
// line that comes in small pieces would take a segment, and an entry, for each.
const smallRest = 4 << 10

// charge brings what the engine counts for the strand up to date: what is more than a
// strand usually holds.
func (in *strand) charge() {
	held := in.unread.Len()
	if held <= in.shared.UnreadLimit {
		held = 0
	}
	if held != in.charged {
		in.shared.Unread.Add(int64(held - in.charged))
		in.charged = held
	}
}

// Run does what the strand has to do, up to a budget. It reports whether
// something is left: Run is then to be called again. One goroutine at a time.
func (d Driver) Run(shared *transport.Shared) (again bool) {
	d.s.mu.Lock()
	again = d.s.run(shared)
	d.s.unlock()
	return again
}

// Writing tells whether somebody is just writing to the kernel.
func (d Driver) Writing() bool {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.flags&writing != 0
}

// PeerClosed tells that the peer sent FIN, after everything it sent was
// delivered.
func (d Driver) PeerClosed() transport.Status {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	if s.State() == Open {
		s.work().finRead = true
		s.tellReader()
	}
	return s.leaveLoop(shared)
}

// Writable tells that the kernel may take bytes again, or that it is the loop's
// turn to write what is Pending.
func (d Driver) Writable() transport.Status {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	if s.flags&writing != 0 {
		s.out.writable = true
	} else {
		s.flags &^= blocked
		s.flush()
		s.feed()
	}
	return s.leaveLoop(shared)
}

// Status returns what the loop must know.
func (d Driver) Status() transport.Status {
	d.s.mu.Lock()
	return d.s.leaveLoop(d.s.link.Shared())
}

// Look returns what Status does, for a loop that is about to Close the session, or to go on
// after an interruption: it does nothing that is due, and leaves that to Close or Status.
func (d Driver) Look() transport.Status {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.status() &^ transport.Due
}

// Progress returns how many bytes the kernel has taken so far, so that a loop
// can tell a slow peer from one that does not read at all.
func (d Driver) Progress() uint64 {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.bytesOut
}

// Framed tells whether messages are frames, which FrameSince is about.
func (d Driver) Framed() bool { return d.s.codec() != nil }

// FrameSince tells since when, in ticks, there is the beginning of a frame without the
// rest; false if there is none.
func (d Driver) FrameSince() (at uint32, ok bool) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.in == nil || !d.s.in.partial() {
		return 0, false
	}
	return d.s.in.began, true
}

// FrameFrom has FrameSince count from a later time: reading was paused.
func (d Driver) FrameFrom(at uint32) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.in != nil {
		d.s.in.began, d.s.in.latest = at, at
	}
}

// Unthrottle ends what a throttled session waits for if the time is over: now is the time since
// the engine started.
func (d Driver) Unthrottle(now time.Duration) transport.Status {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	if s.extra != nil {
		s.extra.quota.pass(now)
	}
	return s.leaveLoop(shared)
}

// ThrottledUntil is when that will be, 0 if the session is not throttled.
func (d Driver) ThrottledUntil() time.Duration {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if !d.s.throttled() {
		return 0
	}
	return d.s.extra.quota.wait()
}

// Held is how many bytes are kept for the session: queued, received and not handled, and
// of messages for groups that it has not been given, though others may share these.
func (d Driver) Held() (bytes int) {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes = s.queued() + s.unread()
	if s.extra != nil {
		for _, m := range s.extra.lagging {
			bytes += m.behind.bytes
		}
	}
	return bytes
}

// Peer is the peer's address, zero on unix sockets.
func (d Driver) Peer() netip.AddrPort { return d.s.remote }

// Busy tells whether handlers are working for the session, or have to.
func (d Driver) Busy() bool {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.flags&scheduled != 0
}

// Done returns how much the session's handlers have done, a number that differs after
// each of them, and whether one is at work now. It does not wait: ok is false if
// somebody has the session's lock.
func (d Driver) Done() (done uint64, atWork, ok bool) {
	s := d.s
	if !s.mu.TryLock() {
		return 0, false, false
	}
	defer s.mu.Unlock()
	done = s.messagesIn
	if s.in != nil {
		done += s.in.duties - s.in.uncount
	}
	return done, s.flags&corked != 0, true
}

// End begins the end of the session for a reason of the engine's: it drains once
// everything received has been handled, or closes at once. It does nothing to a
// session that is ending already, except that now cuts its draining short.
func (d Driver) End(why Reason, cause error, now bool) transport.Status {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	if now {
		_ = s.end(why, cause, aborted) // ErrClosed: it is ending, which is what was asked for
	} else {
		s.endAfterWork(why, cause, 0)
	}
	return s.leaveLoop(shared)
}

// Broken tells that nothing more can be read, because of errno. The session
// closes once everything received has been handled.
func (d Driver) Broken(errno syscall.Errno) transport.Status {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	s.endAfterWork(kernelReason(errno), errno, aborted)
	return s.leaveLoop(shared)
}

// endAfterWork ends the session when its strand has caught up, the first cause
// winning. The caller holds the lock.
func (s *Session) endAfterWork(why Reason, cause error, how flags) {
	caughtUp := s.in == nil && s.flags&scheduled == 0
	switch {
	case caughtUp || s.State() != Open:
		_ = s.end(why, cause, how)
	case s.work().end == nil:
		s.in.end = &ending{why, cause, how}
		s.tellReader()
	default:
		s.in.end.how |= how
	}
}

// Close ends the session: it lets go of its link, which the caller then may
// release, drops what is queued and has OnClose called. It returns what OnClose
// gets, whether the session had ever been open, and whether Run is to be called.
func (d Driver) Close() (reason *CloseError, opened, due bool) {
	s := d.s
	s.depart()
	s.mu.Lock()
	shared := s.link.Shared()
	opened = s.flags&wasOpened != 0
	s.endBecause(ReasonIOError, nil)
	s.ended.Unsent = s.queued()
	if s.flags&writing != 0 {
		s.ended.InWrite = min(s.ended.Unsent, sock.MaxBytes)
	}
	s.loses()
	if s.out != nil {
		s.notifyAll(s.ended)
	}
	if opened {
		s.work().closing = true
	}
	if s.in != nil {
		s.drop(s.in)
		s.in.end, s.in.finRead = nil, false
	}
	s.state.Store(uint32(Closed))
	s.tellOpened()
	s.link = nil
	if s.flags&writing == 0 {
		s.discard(shared)
	}
	s.tellReader()
	s.tellWriter()
	if s.extra != nil && s.extra.ctx != nil {
		s.extra.ctx.cancel(s.ended)
	}
	reason = s.ended
	due = s.leaveLoop(shared)&transport.Due != 0 // only where Pooled
	return reason, opened, due
}

// uncork ends the gathering: what handlers sent is written.
func (s *Session) uncork() {
	s.flags &^= corked
	if s.link != nil {
		s.push()
	}
}

// hide ends the showing of a loop's segment to a handler, and the gathering: what the
// kernel does not take of it is copied, or soon will be.
func (s *Session) hide() {
	s.uncork()
	switch {
	case s.out == nil || s.link == nil:
	case s.flags&writing != 0:
		s.out.pinned = true // whoever is writing looks at it; see unpin
	default:
		s.out.Unshare(s.view) // the loop uses it again
	}
	s.view = nil
}

// leaveLoop runs what is due if that is the loop's business, releases the lock
// and tells the loop the status.
func (s *Session) leaveLoop(shared *transport.Shared) transport.Status {
	if !shared.Pooled && s.due() {
		s.flags |= scheduled
		for s.run(shared) {
			if s.link != nil {
				s.flags &^= scheduled
				s.link.Attend() // others first
				break
			}
		}
	}
	st := s.status()
	if st&transport.Due != 0 && shared.Pooled {
		s.flags |= scheduled
	}
	s.told = st &^ transport.Due
	s.mu.Unlock()
	return st
}

// Ended returns what Close does, of a session that was closed.
func (d Driver) Ended() (reason *CloseError, opened bool) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.ended, d.s.flags&wasOpened != 0
}

// Opened tells whether OnOpen was called.
func (d Driver) Opened() bool {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.flags&wasOpened != 0
}

func (s *Session) callOpen(shared *transport.Shared) {
	returned := false
	defer s.recovered(shared, &returned)
	if h := s.incoming.Load().open; h != nil {
		h.OnOpen(s)
	}
	s.callOpened()
	returned = true
}

func (s *Session) callMessage(shared *transport.Shared, h Handler, f Frame) {
	returned := false
	defer s.recovered(shared, &returned)
	h.OnMessage(s, f)
	returned = true
}

func (s *Session) callPeerClose(shared *transport.Shared, h PeerCloser) {
	returned := false
	defer s.recovered(shared, &returned)
	h.OnPeerClose(s)
	returned = true
}

func (s *Session) callClose(shared *transport.Shared, reason *CloseError) {
	b := s.incoming.Load()
	if b.attendant != nil {
		defer s.callClosed(shared, b.attendant, reason) // also if OnClose ends the goroutine
	}
	if h := b.close; h != nil {
		returned := false
		defer s.recovered(shared, &returned)
		h.OnClose(s, reason)
		returned = true
	}
}

func (s *Session) callFlow(shared *transport.Shared, high bool) {
	h := s.incoming.Load().flow
	if h == nil {
		return // the handler was changed
	}
	returned := false
	defer s.recovered(shared, &returned)
	if high {
		h.OnBackpressure(s)
	} else {
		h.OnWritable(s)
	}
	returned = true
}

func (s *Session) callDone(shared *transport.Shared, c completion) {
	returned := false
	defer s.recovered(shared, &returned)
	c.done(c.err)
	returned = true
}

func (s *Session) callTask(shared *transport.Shared, task func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		value := crash(recover(), shared)
		s.panicked(value, shared) // it ends the task only
		if value == nil {
			s.mu.Lock()
			s.deserted(shared)
			s.unlock()
		}
	}()
	task()
	returned = true
}

// recovered turns a handler's panic into the end of its session, or lets it end
// the process if the engine is told so. A handler that ends its goroutine
// (runtime.Goexit) ends its session in the same way. To be deferred around each handler
// call.
func (s *Session) recovered(shared *transport.Shared, returned *bool) {
	if *returned {
		return
	}
	value := crash(recover(), shared)
	cause := s.panicked(value, shared)
	s.mu.Lock()
	_ = s.end(ReasonHandlerPanic, cause, 0)
	if value == nil {
		s.deserted(shared)
	}
	s.unlock()
}

// crash panics again if there was a panic and it is to end the process.
func crash(value any, shared *transport.Shared) any {
	if value != nil && shared.Crash {
		panic(value)
	}
	return value
}

// exited is the Value of a PanicError of who ended his goroutine.
const exited = "runtime.Goexit was called"

// panicked tells of a panic, or of runtime.Goexit if there was none.
func (s *Session) panicked(value any, shared *transport.Shared) *PanicError {
	if value == nil {
		value = exited
	}
	shared.Panicked(s.id, value, debug.Stack())
	return &PanicError{Value: value}
}

// deserted puts in order what the handler's callers cannot, since their goroutine ends.
// On a worker the strand stays scheduled, for another one to run. The caller holds the
// lock.
func (s *Session) deserted(shared *transport.Shared) {
	if s.view != nil {
		s.hide()
	} else {
		s.uncork()
	}
	if !shared.Pooled {
		s.flags &^= scheduled
	}
}
