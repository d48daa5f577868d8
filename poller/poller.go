// Package poller tells which of many file descriptors are ready.
//
// It is a thin, allocation-free face over the kernel's own mechanism: epoll on
// Linux, kqueue on darwin and the BSDs. This file is the contract; every
// backend, and the in-memory one that the simulator uses, passes the suite in
// package pollertest.
//
// # What is promised
//
//   - Registrations are edge-triggered and permanent: an event tells that
//     something changed since the last one. Whoever is told must remember it
//     until a read or write says otherwise (a short read, or EAGAIN).
//   - Adding or modifying a registration reports whatever is ready at that
//     moment, so nothing that happened before it is missed.
//   - An event carries the Token that its descriptor was registered with when
//     the kernel reported it. It never carries the token of a later owner of
//     the same descriptor number.
//   - A Wake that begins after a Park or Poll returned makes the next Park
//     return. Wakes may be coalesced; none is lost.
//
// # What is not promised
//
//   - Events are hints. A descriptor reported Readable may have nothing to
//     read; Park may return with no event at all, and before its deadline.
//   - Order among the events of one call, and fairness when there are more
//     ready descriptors than room for events. The rest is reported next time.
//   - Events that were already returned stay in the caller's slice after a
//     Remove or a close: the caller compares tokens, which therefore should
//     carry a generation.
//
// # Who may call
//
// A Poller belongs to one goroutine. Only Wake may be called from any other.
package poller

import (
	"errors"
	"time"
)

// ErrClosed is returned by every method of a Poller that has been closed.
var ErrClosed = errors.New("poller: closed")

// ErrToken is returned by Add and Modify for Reserved.
var ErrToken = errors.New("poller: the token is reserved")

// ErrUnsupported is returned by Open where weir has no backend.
// It wraps errors.ErrUnsupported.
var ErrUnsupported = unsupportedError{}

type unsupportedError struct{}

func (unsupportedError) Error() string { return "poller: no backend for this operating system" }
func (unsupportedError) Unwrap() error { return errors.ErrUnsupported }

// Token names a registration. It is chosen by the caller and handed back, as it
// is, with each event. All numbers but Reserved are the caller's.
type Token uint64

// Reserved is the one token that backends keep for themselves.
const Reserved = ^Token(0)

// Interest is what a registration wants to be told of. Hang-ups and errors are
// always told. Zero keeps the registration and tells only those.
type Interest uint8

// The interests.
const (
	Read Interest = 1 << iota
	Write
)

// Ready is what an event tells about its descriptor.
type Ready uint8

// The kinds of readiness. All of them are hints.
const (
	// Readable: a read may return data, zero (end of file) or an error.
	Readable Ready = 1 << iota
	// Writable: a write may take bytes.
	Writable
	// ReadClosed: the peer will send no more; data may still be waiting.
	ReadClosed
	// HangUp: both directions are closed.
	HangUp
	// Failed: an error is waiting; a read or write returns it.
	Failed
	// Urgent: out-of-band data arrived, which makes the kernel cut a read
	// short before everything has been read. Kernels that cannot tell report
	// it with every Readable, so that the reader never trusts a short read.
	Urgent
)

// MustDrain are the kinds after which a short read does not mean that the
// descriptor has been emptied: read on until zero, an error or EAGAIN.
const MustDrain = ReadClosed | HangUp | Failed | Urgent

// Event tells that the descriptor registered under Token is Ready.
type Event struct {
	Token Token
	Ready Ready
}

// Poller watches descriptors. See the package comment for what it promises.
type Poller interface {
	// Add registers fd. The descriptor must be non-blocking and stay open until
	// it is removed or closed. Errors are those of the kernel (ENOMEM, ENOSPC,
	// EEXIST, EBADF, EPERM), wrapped with the name of the call, and ErrToken.
	Add(fd int, interest Interest, token Token) error

	// Modify replaces interest and token of a registered fd, ENOENT if it is
	// not. After any other error the registration may have ended.
	Modify(fd int, interest Interest, token Token) error

	// Remove ends a registration. Closing the last descriptor of an open file
	// does so too; Remove is needed where a duplicate may live on.
	Remove(fd int) error

	// Poll fills events with what is ready now and returns at once. Events are
	// the caller's and need room for one at least (else EINVAL). Poll uses up
	// the Wakes that came before it, so look at what they were about after it.
	Poll(events []Event) (n int, err error)

	// Park is Poll, but when nothing is ready it waits until something is,
	// somebody calls Wake, or the deadline passes; the zero deadline never
	// does. It may return early, and with n == 0.
	Park(events []Event, deadline time.Time) (n int, err error)

	// Wake makes a current or the next Park return, unless a Poll comes first.
	// Wakes before the same Park are one. Any goroutine may call it,
	// also after Close (it then returns ErrClosed and touches no descriptor).
	Wake() error

	// Close releases the poller's own descriptors, none of the registered ones.
	// A second Close returns ErrClosed.
	Close() error
}
