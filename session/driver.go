package session

import (
	"runtime/debug"
	"syscall"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
)

// Driver is the engine's side of a Session: its loop calls it, one call at a
// time, and handlers run inside. It is of no use to anybody else, who cannot
// name a transport.Key.
type Driver struct{ s *Session }

// Drive returns the engine's side of s.
func Drive(s *Session, _ transport.Key) Driver { return Driver{s} }

// Open moves the session from Connecting to Open and calls OnOpen. It reports
// false, and nothing is called, if the session was closed before it opened.
func (d Driver) Open() (st transport.Status, opened bool) {
	s := d.s
	s.mu.Lock()
	if s.State() == Connecting {
		opened = true
		s.state.Store(uint32(Open))
		s.flags |= wasOpened | corked
		s.mu.Unlock()
		s.callOpen()
		s.mu.Lock()
		s.uncork()
	}
	return s.statusUnlock(), opened
}

// Deliver gives p, a view of segment, to the handler, and writes what it sent.
// In any state but Open it is discarded. When Deliver returns and segment is
// Shared, somebody still refers to p and it must not be overwritten.
func (d Driver) Deliver(segment *buffer.Segment, p []byte) transport.Status {
	s := d.s
	s.mu.Lock()
	if s.State() == Open {
		s.flags |= corked
		s.view = segment
		s.bytesIn += uint64(len(p))
		s.messagesIn++
		pool := s.link.Shared().Pool
		s.mu.Unlock()
		s.callMessage(Frame{bytes: p[:len(p):len(p)], segment: segment, pool: pool})
		s.mu.Lock()
		s.uncork()
	}
	return s.statusUnlock()
}

// PeerClosed tells that the peer sent FIN, after everything it sent was
// delivered.
func (d Driver) PeerClosed() transport.Status {
	s := d.s
	s.mu.Lock()
	halfOpen := s.link.Shared().HalfOpen && s.flags&(finWanted|failed) == 0
	h := s.incoming.Load().peerClose
	switch {
	case s.State() != Open:
	case halfOpen && h != nil:
		s.flags |= corked | peerDone
		s.mu.Unlock()
		s.callPeerClose(h)
		s.mu.Lock()
		s.uncork()
	default:
		s.end(ReasonPeerClosed, nil, 0) // cannot fail: the session is open
	}
	return s.statusUnlock()
}

// Writable tells that the kernel may take bytes again, or that it is the loop's
// turn to write what is Pending.
func (d Driver) Writable() transport.Status {
	s := d.s
	s.mu.Lock()
	if s.flags&writing != 0 {
		s.flags |= writable
	} else {
		s.flags &^= blocked
		s.push()
	}
	return s.statusUnlock()
}

// Status returns what the loop must know.
func (d Driver) Status() transport.Status {
	d.s.mu.Lock()
	return d.s.statusUnlock()
}

// Progress returns how many bytes the kernel has taken so far, so that a loop
// can tell a slow peer from one that does not read at all.
func (d Driver) Progress() uint64 {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.bytesOut
}

// End begins the end of the session for a reason of the engine's: it drains, or
// closes at once. It does nothing to a session that is ending already, except
// that now cuts its draining short.
func (d Driver) End(why Reason, cause error, now bool) transport.Status {
	var how flags
	if now {
		how = aborted
	}
	d.s.mu.Lock()
	_ = d.s.end(why, cause, how) // ErrClosed: it is ending, which is what was asked for
	return d.s.statusUnlock()
}

// Broken records that reading failed with errno. The session is then to be
// closed with Close.
func (d Driver) Broken(errno syscall.Errno) {
	d.s.mu.Lock()
	d.s.endBecause(kernelReason(errno), errno)
	d.s.mu.Unlock()
}

// Close ends the session: it lets go of its link, which the caller then may
// release, drops what is queued and calls OnClose. It returns what OnClose got,
// and whether the session had ever been open.
func (d Driver) Close() (reason *CloseError, opened bool) {
	s := d.s
	s.mu.Lock()
	s.endBecause(ReasonIOError, nil)
	s.ended.Unsent = s.queued()
	s.state.Store(uint32(Closed))
	shared := s.link.Shared()
	s.link = nil
	if s.flags&writing == 0 {
		s.discard(shared)
	}
	reason, opened = s.ended, s.flags&wasOpened != 0
	if s.ctx != nil {
		s.ctx.cancel(reason)
	}
	s.mu.Unlock()
	if opened {
		s.callClose(shared, reason)
	}
	return reason, opened
}

// uncork ends the gathering: what handlers sent is written, and what the kernel
// does not take is copied out of the segment that they were shown.
func (s *Session) uncork() {
	s.flags &^= corked
	s.push()
	switch {
	case s.view == nil || s.out == nil:
	case s.flags&writing == 0:
		s.out.Unshare(s.view)
	default:
		s.flags |= pinned // whoever is writing looks at it; see unpin
	}
	s.view = nil
}

// statusUnlock releases the lock and tells the loop the status.
func (s *Session) statusUnlock() transport.Status {
	st := s.status()
	s.told = st
	s.mu.Unlock()
	return st
}

func (s *Session) callOpen() {
	if h := s.incoming.Load().open; h != nil {
		defer s.recovered(s.link.Shared())
		h.OnOpen(s)
	}
}

func (s *Session) callMessage(f Frame) {
	defer s.recovered(s.link.Shared())
	s.incoming.Load().message.OnMessage(s, f)
}

func (s *Session) callPeerClose(h PeerCloser) {
	defer s.recovered(s.link.Shared())
	h.OnPeerClose(s)
}

func (s *Session) callClose(shared *transport.Shared, reason *CloseError) {
	if h := s.incoming.Load().close; h != nil {
		defer s.recovered(shared)
		h.OnClose(s, reason)
	}
}

// recovered turns a handler's panic into the end of its session, or lets it end
// the process if the engine is told so. To be deferred around each handler call.
func (s *Session) recovered(shared *transport.Shared) {
	if shared.Crash {
		return
	}
	value := recover()
	if value == nil {
		return
	}
	shared.Panicked(s.id, value, debug.Stack())
	s.mu.Lock()
	_ = s.end(ReasonHandlerPanic, &PanicError{Value: value}, 0)
	s.mu.Unlock()
}
