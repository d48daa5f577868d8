package rpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirnet/weir/session"
)

// Errors of calls. Test with errors.Is. A call that has no answer is either ErrUnsent or
// ErrInDoubt, besides why.
var (
	// ErrUnsent: the peer cannot have got the request. It may be sent again.
	ErrUnsent = errors.New("not sent")

	// ErrInDoubt: the kernel may have taken the request, so that the peer may have
	// carried it out, or not.
	ErrInDoubt = errors.New("in doubt")

	// ErrTimeout: there was no answer in time. It is the cause of a call's end when
	// neither the answer nor the context's deadline came first.
	ErrTimeout = fmt.Errorf("rpc: no answer in time: %w", context.DeadlineExceeded)

	// ErrNoSession: the Sender is neither a session nor Connected.
	ErrNoSession = errors.New("rpc: the sender is neither a session nor something that has one")

	// ErrDeadlock: Call or Ping was called from a handler or from a goroutine that the
	// answer would need.
	ErrDeadlock = session.ErrDeadlock

	// ErrAnswered: the request has been answered before.
	ErrAnswered = errors.New("rpc: answered already")

	// ErrCancelled is the cause of a request's context when the peer does not wait for
	// the answer any more.
	ErrCancelled = errors.New("rpc: cancelled by the peer")
)

// CallError is how a call ended that has no answer.
type CallError struct {
	Type    string // of the request's message
	Outcome error  // ErrUnsent or ErrInDoubt
	Err     error  // why: the context's cause, the *session.CloseError, what sending returned
}

// Error names the request's type, the outcome and the reason.
func (e *CallError) Error() string {
	return fmt.Sprintf("rpc: call %q: %v: %v", e.Type, e.Outcome, e.Err)
}

// Unwrap returns outcome and reason.
func (e *CallError) Unwrap() []error { return []error{e.Outcome, e.Err} }

// LimitError tells that there is no room for one more.
type LimitError struct {
	What  string // of what there are as many as may be
	Limit int
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("rpc: too many %s: the limit is %d", e.What, e.Limit)
}

// OptionError tells which option has which bad value, and why it is bad.
type OptionError struct {
	Option string
	Value  any
	Why    string
}

// Error names option and value.
func (e *OptionError) Error() string {
	return fmt.Sprintf("rpc: option %s: %v: %s", e.Option, e.Value, e.Why)
}

// RemoteError is an answer that is an error: what the other end's handler returned.
// errors.Is finds its message.Code, and errors of the program's own; see message.Error.
type RemoteError struct {
	Type string // of the request
	Err  error  // a *message.Error
}

// Error quotes the text, which is the peer's.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("rpc: call %q: the peer answered: %v", e.Type, e.Err)
}

// Unwrap returns the peer's error.
func (e *RemoteError) Unwrap() error { return e.Err }

// HandlerPanic is what the engine is told of when a handler or a completion has panicked.
type HandlerPanic struct {
	Value any
	Stack []byte
}

// Error has the value and the stack.
func (e *HandlerPanic) Error() string { return fmt.Sprintf("rpc: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the value if it is an error.
func (e *HandlerPanic) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
