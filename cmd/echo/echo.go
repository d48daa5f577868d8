package main

import (
	"errors"
	"fmt"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// echo is the whole service: what comes in goes back. It is called with each message;
// with -wire raw that is whatever one read returned, since TCP knows no messages.
//
// Send never waits, and it copies only what the kernel does not take at once. A
// peer that sends and does not read is slowed down by the session itself: when
// 256 KiB of answers wait it reads no more, until there is room again. So Send refuses
// only when all sessions together have queued as much as the engine may hold, which is
// half of the memory.
func echo(s *session.Session, f session.Frame) {
	leaveNoHole(s, s.Send(f.Bytes()))
}

// leaveNoHole closes a session if err says that its message was refused: an echo with a
// hole in it would be wrong.
func leaveNoHole(s *session.Session, err error) {
	var unframed *frame.Error
	switch {
	case errors.Is(err, session.ErrBufferFull):
		err = session.ReasonOverLimit
	case errors.As(err, &unframed):
		// With -wire line: "\r\r\n" ends a line whose last byte is '\r', and sent
		// with "\n" it would come out without.
		err = fmt.Errorf("%w: %w", session.ReasonProtocolError, err)
	default:
		// Taken; or the session is ending. Nothing is left to do: the engine closes
		// it and counts the reason.
		return
	}
	_ = s.CloseWith(err) // fails only if it is closing already
}
