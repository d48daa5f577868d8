package session

import (
	"context"
	"slices"
	"time"
)

// noteBytes is how many bytes of the session's cap there are to each completion
// that may wait.
const noteBytes = 256

// SendNotify is Send with a completion. When it returns an error, nothing is
// queued and done is never called. Otherwise done is called exactly once, where
// the session's handlers run and before OnClose: with nil when the kernel has
// taken the bytes, or with the *CloseError if the session ended before. It does
// not tell that the peer has read them. ErrMailboxFull means that too many
// completions wait, one per 256 bytes of the session's cap.
func (s *Session) SendNotify(p []byte, done func(error)) error {
	s.mu.Lock()
	defer s.unlock()
	if err := s.admit(len(p)); err != nil {
		return err
	}
	if s.completions() >= max(s.link.Shared().Cap/noteBytes, 1) {
		return ErrMailboxFull
	}
	if err := s.append(p); err != nil {
		return err
	}
	s.note(done)
	s.push()
	return nil
}

// note has done called when all that is queued has left. The caller holds the lock.
func (s *Session) note(done func(error)) {
	s.out.notes.Put(note{s.out.consumed + int64(s.out.Len()), done})
}

// completions is how many of them wait.
func (s *Session) completions() (n int) {
	if s.out != nil {
		n = s.out.notes.Len()
	}
	if s.in != nil {
		n += s.in.done.Len()
	}
	return n
}

// SendContext is Send that waits for room instead of returning ErrBufferFull.
// Those who wait for a session are served in the order they came. It returns the
// cause of ctx, with nothing queued, when that ends first; ErrClosed when the
// session does; ErrDeadlock at once if it would wait on a goroutine of the
// engine's loops, which make room, as a handler in inline mode does. In pool mode
// handlers may wait; where every worker does, for room in the engine as a whole that an
// engine.Client's waiting messages have, only ctx ends it, as these leave when a worker
// has told its handler of the connection. A message larger than what the engine may queue in all is
// refused with ErrBufferFull.
func (s *Session) SendContext(ctx context.Context, p []byte) error {
	s.mu.Lock()
	defer s.unlock()
	if s.out == nil || len(s.out.waiters) == 0 {
		if err := s.send(p); err != ErrBufferFull {
			return err
		}
	}
	switch {
	case s.link == nil || s.State() != Open:
		return ErrClosed
	case int64(len(p)) > s.link.Shared().QueuedShare(len(p)):
		return ErrBufferFull
	case s.link.OnLoop():
		return ErrDeadlock
	}
	return s.waitForRoom(ctx, p)
}

// totalRetry is how often somebody asks again who waits for the engine's total of
// queued output, not for the session's own.
const totalRetry = 10 * time.Millisecond

// waitForRoom sends p in its turn. The caller holds the lock. What a handler has sent
// so far does not gather while it waits.
func (s *Session) waitForRoom(ctx context.Context, p []byte) error {
	me := &waiter{free: make(chan struct{}, 1)}
	s.queue().waiters = append(s.queue().waiters, me)
	s.uncork()
	for s.link != nil {
		err := s.admit(len(p))
		if err == nil && s.out.waiters[0] == me {
			s.leave(me)
			return s.send(p)
		}
		if err == nil || err == ErrBufferFull {
			err = s.await(ctx, me)
		}
		if err != nil {
			s.leave(me)
			return err
		}
	}
	return ErrClosed
}

// await waits with the lock released until me may try again.
func (s *Session) await(ctx context.Context, me *waiter) error {
	shared, retry := s.link.Shared(), time.Duration(0)
	if s.queued() < shared.HighWater {
		retry = totalRetry
	}
	s.unlock()
	defer s.mu.Lock()
	return shared.Await(ctx, me.free, retry)
}

// leave takes me out of those who wait, and lets the next one try.
func (s *Session) leave(me *waiter) {
	if s.link != nil {
		s.out.waiters = slices.DeleteFunc(s.out.waiters, func(w *waiter) bool { return w == me })
		s.settle()
	}
}
