package main

import (
	"errors"

	"github.com/weirnet/weir/session"
)

// echo is the whole service: what comes in goes back. The engine calls it on the
// session's loop with whatever one read returned; TCP knows no messages.
//
// Send never waits, and it copies only what the kernel does not take at once. A
// peer that sends and does not read is slowed down by the session itself: when
// 256 KiB of answers wait it reads no more, until there is room again.
func echo(s *session.Session, f session.Frame) {
	err := s.Send(f.Bytes())
	if errors.Is(err, session.ErrBufferFull) {
		// Not for this session's sake: reading has paused long before its queue
		// is full. All sessions together have queued as much as the engine may
		// hold (half of the memory), and an echo with a hole in it would be wrong.
		_ = s.CloseWith(session.ReasonOverLimit) // fails only if it is closing already
	}
	// Any other error means that the session is ending. Nothing is left to do:
	// the engine closes it and counts the reason.
}
