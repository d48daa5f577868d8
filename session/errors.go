package session

import (
	"errors"
	"fmt"
	"net"
)

// Errors of the methods of Session. Test with errors.Is.
var (
	// ErrClosed: the session is closing or closed. It is net.ErrClosed, too.
	ErrClosed = fmt.Errorf("session: %w", net.ErrClosed)

	// ErrBufferFull: the message does not fit under the cap of the session or of
	// the engine. Nothing was queued.
	ErrBufferFull = errors.New("session: output buffer full")

	// ErrNotConnected: the session is not open yet.
	ErrNotConnected = errors.New("session: not connected")

	// ErrNotSupported: this kind of connection has no such option.
	// It is errors.ErrUnsupported, too.
	ErrNotSupported = fmt.Errorf("session: %w", errors.ErrUnsupported)

	// ErrMailboxFull: too many tasks or completions wait, or times that the session has
	// left a group.
	ErrMailboxFull = errors.New("session: mailbox full")

	// ErrUnreadFull is the cause of a close for ReasonOverLimit: sessions hold as much
	// of unfinished frames as the engine allows them together.
	ErrUnreadFull = errors.New("session: too much is held of unfinished frames")

	// ErrGroupConfig: the group is configured with what no group can be (GroupConfig). The
	// error names group, field and value.
	ErrGroupConfig = errors.New("session: configuration")

	// ErrDeadlock: the caller is a handler or task that it would wait for.
	ErrDeadlock = errors.New("session: would wait for the calling handler")
)

// Reason tells why a session ended. The numbers and names are stable. A Reason
// is an error, so that errors.Is(err, session.ReasonIdle) asks for it.
type Reason uint8

// The reasons.
const (
	ReasonNone          Reason = 0  // not ended
	ReasonPeerClosed    Reason = 1  // the peer sent FIN
	ReasonPeerReset     Reason = 2  // the connection was reset
	ReasonLocalClose    Reason = 3  // Close, CloseWith or SendAndClose
	ReasonAborted       Reason = 4  // Abort
	ReasonIdle          Reason = 5  // nothing was received or sent for too long
	ReasonFirstMessage  Reason = 6  // nothing was ever received
	ReasonLifetime      Reason = 7  // open for longer than allowed
	ReasonSlowConsumer  Reason = 8  // queued output, and the peer took none of it for too long
	ReasonProtocolError Reason = 9  // the peer sent what its protocol forbids
	ReasonOverLimit     Reason = 10 // a limit on connections or rate
	ReasonHandlerPanic  Reason = 11 // a handler panicked
	ReasonShutdown      Reason = 12 // the engine shuts down
	ReasonIOError       Reason = 13 // the kernel returned another error
	ReasonOverload      Reason = 14 // the executor had no room for its handlers
	ReasonFrameTimeout  Reason = 15 // a frame was begun and not finished in time
	ReasonHeartbeat     Reason = 16 // the peer said nothing, although it was asked to
	ReasonMemory        Reason = 17 // the process's memory was running out
)

// Reasons is one more than the highest Reason, for arrays indexed by it.
const Reasons = int(ReasonMemory) + 1

// String returns the reason's stable name, as logs and counters use it.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "none"
	case ReasonPeerClosed:
		return "peer_closed"
	case ReasonPeerReset:
		return "peer_reset"
	case ReasonLocalClose:
		return "local_close"
	case ReasonAborted:
		return "aborted"
	case ReasonIdle:
		return "idle"
	case ReasonFirstMessage:
		return "first_message"
	case ReasonLifetime:
		return "lifetime"
	case ReasonSlowConsumer:
		return "slow_consumer"
	case ReasonProtocolError:
		return "protocol_error"
	case ReasonOverLimit:
		return "over_limit"
	case ReasonHandlerPanic:
		return "handler_panic"
	case ReasonShutdown:
		return "shutdown"
	case ReasonIOError:
		return "io_error"
	case ReasonOverload:
		return "overload"
	case ReasonFrameTimeout:
		return "frame_timeout"
	case ReasonHeartbeat:
		return "heartbeat"
	case ReasonMemory:
		return "memory"
	}
	return "invalid"
}

// Error makes a Reason an error.
func (r Reason) Error() string { return "session: " + r.String() }

// CloseError is what OnClose gets: why the session ended.
type CloseError struct {
	// Reason is the first thing that went wrong, or right.
	Reason Reason

	// Unsent counts the bytes that Send had taken and the kernel had not. Bytes
	// in a write that was under way at that moment count as unsent.
	Unsent int

	// InWrite is how many of the Unsent bytes there may have been in such a write, at
	// most: the first ones. The kernel may have taken them.
	InWrite int

	// Unhandled counts the bytes that had been received and were not given to
	// OnMessage.
	Unhandled int

	// Err is the cause: the kernel's errno, the error given to CloseWith, or nil.
	Err error
}

// Error names the reason, the cause and what was lost.
func (e *CloseError) Error() string {
	text := e.Reason.Error()
	if e.Err != nil && e.Err != error(e.Reason) {
		text += ": " + e.Err.Error()
	}
	if e.Unsent > 0 {
		text += fmt.Sprintf(" (%d bytes unsent)", e.Unsent)
	}
	if e.Unhandled > 0 {
		text += fmt.Sprintf(" (%d bytes unhandled)", e.Unhandled)
	}
	return text
}

// Unwrap returns the cause.
func (e *CloseError) Unwrap() error { return e.Err }

// Is reports whether target is this error's Reason. A session that ended is
// also ErrClosed and net.ErrClosed to whoever asks.
func (e *CloseError) Is(target error) bool {
	return target == error(e.Reason) || target == ErrClosed || target == net.ErrClosed
}

// reasonOf returns the Reason that err wraps, or the given one.
func reasonOf(err error, otherwise Reason) Reason {
	var r Reason
	if errors.As(err, &r) && r != ReasonNone && int(r) < Reasons {
		return r
	}
	return otherwise
}

// PanicError is the cause of a close for ReasonHandlerPanic.
type PanicError struct {
	Value any // what the handler panicked with
}

// Error quotes the value, which may contain bytes of the peer's.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %q", fmt.Sprint(e.Value)) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
