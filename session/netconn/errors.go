package netconn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/weirnet/weir/session"
)

// ErrReleased: the session has a handler again, or is another Conn. It is net.ErrClosed,
// too: this Conn is of no use any more.
var ErrReleased = fmt.Errorf("netconn: session released: %w", net.ErrClosed)

// OptionError tells which option has which bad value, and why it is bad.
type OptionError struct {
	Option string
	Value  any
	Why    string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("netconn: option %s: %v: %s", e.Option, e.Value, e.Why)
}

// failure makes of err what package net would return.
func (c *Conn) failure(op string, err error) error {
	var ended *session.CloseError
	switch {
	case err == nil, err == io.EOF:
		return err
	case err == session.ErrTapShut:
		err = ErrReleased
	case err == session.ErrFINSent:
		err = os.NewSyscallError(op, syscall.EPIPE)
	case errors.As(err, &ended):
		switch ended.Reason {
		case session.ReasonPeerClosed:
			if op == "read" {
				return io.EOF
			}
			err = os.NewSyscallError(op, syscall.EPIPE)
		case session.ReasonPeerReset, session.ReasonIOError:
			err = &brokenError{ended}
		}
	}
	remote := c.RemoteAddr()
	return &net.OpError{Op: op, Net: remote.Network(), Source: c.LocalAddr(), Addr: remote, Err: err}
}

// brokenError is the end of a session by its peer or the network. Unlike the CloseError it
// is not net.ErrClosed, which to users of a net.Conn means that they have closed it.
type brokenError struct{ ended *session.CloseError }

func (e *brokenError) Error() string { return e.ended.Error() }

// Unwrap returns the kernel's error.
func (e *brokenError) Unwrap() error { return e.ended.Err }

// Is reports whether target is the session's reason.
func (e *brokenError) Is(target error) bool { return target == error(e.ended.Reason) }

// As gives out the *session.CloseError.
func (e *brokenError) As(target any) bool {
	to, ok := target.(**session.CloseError)
	if ok {
		*to = e.ended
	}
	return ok
}

// Timeout tells whether the kernel has given up on the peer, for net.Error.
func (e *brokenError) Timeout() bool {
	errno, ok := errors.AsType[syscall.Errno](e.ended.Err)
	return ok && errno.Timeout()
}
