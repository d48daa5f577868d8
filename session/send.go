package session

import (
	"syscall"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session/frame"
)

// The way of a message out:
//
//  1. Send checks the session's state and limits, and appends to the queue.
//  2. While handlers of the session run, it is corked: messages gather and go
//     out together when they return, or at 64 KiB or high water.
//  3. Otherwise whoever finds the write side free takes it and carries the whole
//     queue to the kernel, also what others append meanwhile. Nobody waits.
//  4. What the kernel does not take stays queued; the loop goes on when it says
//     that there is room.

const (
	// corkBytes is how much gathers before a corked session writes. Larger
	// writes gain little, and the peer could be reading already.
	corkBytes = 64 << 10

	// carryBytes is how much one holder writes before it leaves the rest to the
	// loop, so that a busy session holds up neither a sender nor the others.
	carryBytes = 1 << 20

	// viewBytes is the least that is queued by reference where something goes around
	// it: copying less is cheaper than a view more to write.
	viewBytes = 4 << 10
)

// Send queues p, framed if the session has a codec, and writes it as soon as possible.
// The bytes are copied, unless
// the kernel takes them at once or they lie in the message being handled; p may
// be used again when Send returns, but a part of the message being handled must
// not be changed any more.
//
// It returns ErrBufferFull, with nothing queued, when the queue is above high
// water and p does not fit under the cap; ErrClosed after Close, CloseWrite,
// Abort or the end; ErrNotConnected before OnOpen; a *frame.Error if p cannot be a frame
// of the codec. Nil means that p is queued or
// written: if it cannot be sent after all, OnClose says how many bytes were not.
func (s *Session) Send(p []byte) error {
	s.mu.Lock()
	defer s.unlock() // a codec of the user's may panic
	return s.send(p)
}

// SendOwned is Send without a copy: p belongs to the session from now on, and
// must not be changed until release is called, once, when the bytes have left or
// the session has closed. Release may be nil. It runs on any goroutine and with
// the session locked: it must not block, or call into any session. If it panics that is
// told like a handler's panic, and the session goes on. When SendOwned
// returns an error, p still belongs to the caller, and release is not called.
func (s *Session) SendOwned(p []byte, release func()) error {
	s.mu.Lock()
	defer s.unlock()
	if err := s.admit(len(p)); err != nil {
		return err
	}
	if err := s.enclose(p, func() { s.out.AppendOwned(p, release) }); err != nil {
		return err
	}
	s.push()
	return nil
}

// SendAndClose sends p as the last message and closes the session like
// CloseWith, in one step: nothing can come between. When p cannot be sent the
// session is closed all the same, and the error of Send returned.
func (s *Session) SendAndClose(p []byte, reason error) error {
	s.mu.Lock()
	defer s.unlock()
	err := s.admit(len(p))
	if err == nil {
		err = s.append(p) // end writes it: before that, nobody else may send
	}
	_ = s.end(reasonOf(reason, ReasonLocalClose), reason, 0) // what it returns, admit has
	return err
}

// Flush writes now what handlers have sent so far, instead of when they return.
// What the kernel does not take stays queued. It returns ErrClosed once the
// session is closed.
func (s *Session) Flush() error {
	s.mu.Lock()
	defer s.unlock()
	if s.link == nil {
		return ErrClosed
	}
	s.flush()
	return nil
}

// accepts tells whether the session takes messages. The caller holds the lock.
func (s *Session) accepts() error {
	switch {
	case s.State() == Connecting:
		return ErrNotConnected
	case s.State() != Open || s.flags&(finWanted|aborted|failed) != 0:
		return ErrClosed
	}
	return nil
}

// admit tells whether n more bytes may be queued. The caller holds the lock.
func (s *Session) admit(n int) error {
	if err := s.accepts(); err != nil {
		return err
	}
	shared, queued := s.link.Shared(), s.queued()
	if queued >= shared.HighWater && n > shared.Cap-queued {
		return ErrBufferFull
	}
	if int64(n)+shared.Queued.Load() > shared.QueuedShare(queued+n) {
		return ErrBufferFull
	}
	return nil
}

// send queues p and writes if it may. The caller holds the lock.
func (s *Session) send(p []byte) error {
	if err := s.admit(len(p)); err != nil {
		return err
	}
	if len(p) > 0 && s.flags&corked == 0 && s.writeFree() && (s.codec() == nil || len(p) >= viewBytes) {
		return s.lend(p)
	}
	if err := s.append(p); err != nil {
		return err
	}
	s.push()
	return nil
}

// lend writes from p itself, and copies only what the kernel does not take.
func (s *Session) lend(p []byte) error {
	lent := s.link.Shared().Pool.Adopt(p, nil)
	defer lent.Release()
	if err := s.enclose(p, func() { s.out.AppendView(lent, p) }); err != nil {
		return err
	}
	s.carry()
	if s.out != nil {
		s.out.Unshare(lent)
	}
	return nil
}

// append queues p as a message: a view if it lies in the message being handled and, where
// it is framed, is not small; else a copy. With an error nothing is queued.
func (s *Session) append(p []byte) error {
	view := s.view != nil && s.view.Contains(p)
	codec := s.codec()
	if codec == nil || view && len(p) >= viewBytes {
		return s.enclose(p, func() {
			if view {
				s.out.AppendView(s.view, p)
			} else {
				s.out.Append(p)
			}
		})
	}
	out := s.queue()
	head, err := codec.Head(out.head[:0], p)
	if err != nil {
		return err
	}
	out.AppendParts(head, p, codec.Tail(out.tail[:0]))
	s.count()
	return nil
}

// enclose queues p as a message: what goes around it, and between that what put puts.
// With an error nothing is queued.
func (s *Session) enclose(p []byte, put func()) error {
	out, codec := s.queue(), s.codec()
	if codec == nil {
		put()
	} else {
		head, err := codec.Head(out.head[:0], p)
		if err != nil {
			return err
		}
		tail := codec.Tail(out.tail[:0]) // it may panic: nothing is queued before
		out.Append(head)
		put()
		out.Append(tail)
	}
	s.count()
	return nil
}

// count counts a message that was queued.
func (s *Session) count() {
	s.messagesOut++
	if s.out.Len() > 0 && s.incoming.Load().attendant != nil {
		s.out.ends.add(s.out.consumed + int64(s.out.Len()))
	}
}

// codec is what frames the session's messages; nil if nothing does.
func (s *Session) codec() frame.Codec { return s.incoming.Load().codec }

// queue returns the chain to append to.
func (s *Session) queue() *outbound {
	if s.out == nil {
		s.out = takeOutbound(s.link.Shared())
	}
	return s.out
}

func (s *Session) queued() int {
	if s.out == nil {
		return 0
	}
	return s.out.Len()
}

// writeFree tells whether the caller, who holds the lock, may write.
func (s *Session) writeFree() bool {
	return s.link != nil && s.flags&(writing|blocked|failed|aborted) == 0
}

// push writes what is queued, unless it is to gather or somebody else writes. Above high
// water nothing gathers: handlers would be refused what the kernel has room for.
func (s *Session) push() {
	if s.flags&corked == 0 || s.queued() >= min(corkBytes, s.link.Shared().HighWater) {
		s.flush()
	}
}

// flush writes what is queued, unless somebody else writes. The session has its link.
func (s *Session) flush() {
	if s.queued() > 0 && s.writeFree() {
		s.carry()
	} else {
		s.settle()
	}
}

// carry takes the write side and writes the queue until it is empty, the kernel
// takes no more, or it is the loop's turn. The caller holds the lock, which is
// released during each write, and has found the write side free.
func (s *Session) carry() {
	link := s.link
	link.Acquire()
	s.flags |= writing
	for sent := 0; s.canWrite() && sent < carryBytes; {
		n, errno := s.write(link)
		sent += n
		s.bytesOut += uint64(n)
		s.out.consumed += int64(n)
		s.out.Consume(n)
		s.out.ends.pass(s.out.consumed)
		switch {
		case errno == 0:
		case errno != syscall.EAGAIN:
			s.fail(errno)
		case !s.out.writable:
			s.flags |= blocked
		}
	}
	s.flags &^= writing
	s.tellUnsure()
	if s.State() == Closed {
		s.discard(link.Shared())
	} else {
		if s.out.pinned {
			s.unpin()
		}
		s.settle()
	}
	link.Release()
}

// unpin copies what handlers sent of their messages and the kernel did not take: a
// few bytes must not keep the segment of a whole loop. If somebody is just writing, he
// does so.
func (s *Session) unpin() {
	switch {
	case s.out == nil || s.link == nil:
	case s.flags&writing != 0:
		s.out.pinned = true
	default:
		s.out.pinned = false
		s.out.Compact()
	}
}

// canWrite tells whether the holder of the write side has more to do.
func (s *Session) canWrite() bool {
	return s.link != nil && s.queued() > 0 && s.flags&(blocked|failed|aborted) == 0
}

// write gives the front of the queue to the kernel, with the lock released.
// Others may append meanwhile; only the holder of the write side consumes.
func (s *Session) write(link transport.Link) (n int, errno syscall.Errno) {
	s.out.writable = false
	if only := s.out.First(sock.MaxBytes); len(only) == s.out.Len() {
		s.mu.Unlock()
		n, errno = link.Send(only)
		s.mu.Lock()
		return n, errno
	}
	shared := link.Shared()
	views := shared.Views()
	*views = s.out.Views(*views, sock.MaxBytes)
	s.mu.Unlock()
	n, errno = link.Sendv(*views)
	s.mu.Lock()
	shared.ReturnViews(views)
	return n, errno
}

// settle brings everything that follows from the queue's length up to date. The
// caller holds the lock, and the session has its link.
func (s *Session) settle() {
	shared, queued := s.link.Shared(), s.queued()
	switch {
	case queued >= shared.HighWater:
		s.flags |= highWater
	case queued <= shared.LowWater:
		s.flags &^= highWater
	}
	if s.out != nil {
		s.out.charge(shared, queued)
		s.notify()
		if queued < shared.HighWater {
			s.out.admitNext()
		}
	}
	if queued <= shared.LowWater {
		s.tellWriter()
	}
	if queued > 0 || s.flags&writing != 0 {
		return
	}
	if s.out != nil && s.out.idle() {
		shared.Outbounds.Put(s.out)
		s.out = nil
	}
	if s.flags&(finWanted|finSent|corked|failed|aborted|lagging) == finWanted {
		s.flags |= finSent
		if errno := s.link.ShutdownWrite(); errno != 0 {
			s.fail(errno)
		}
	}
}

// fail records that the kernel will take nothing more. What is queued stays
// there, to be counted as unsent; the loop reads what is left and closes.
func (s *Session) fail(errno syscall.Errno) {
	s.flags |= failed
	s.endBecause(kernelReason(errno), errno)
	if s.out != nil {
		s.out.dismiss() // there will be no room, and the session does not end before a handler that waits
	}
	s.tellWriter()
}

// discard drops the queue of a closed session. Its completions have been told.
func (s *Session) discard(shared *transport.Shared) {
	if s.out == nil {
		return
	}
	s.out.Reset()
	s.out.charge(shared, 0)
	s.out.dismiss()
	s.out.ends.reset()
	s.out.pinned, s.out.writable, s.out.waiters = false, false, nil
	shared.Outbounds.Put(s.out)
	s.out = nil
}

// kernelReason sorts an errno into peer's doing and everything else.
func kernelReason(errno syscall.Errno) Reason {
	switch errno {
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ENOTCONN:
		return ReasonPeerReset
	}
	return ReasonIOError
}
