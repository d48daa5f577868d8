package engine

import (
	"errors"
	"fmt"

	"github.com/weirnet/weir/session"
)

// Errors of the methods of Engine. Test with errors.Is.
var (
	// ErrStopped: the engine shuts down or has ended.
	ErrStopped = errors.New("engine: stopped")

	// ErrServing: Serve was called before.
	ErrServing = errors.New("engine: already serving")

	// ErrNotFound: no session has this id any more, or ever had.
	ErrNotFound = errors.New("engine: no such session")

	// ErrDeadlock: Listen, Adopt, Dial, AdoptConn, Serve, Shutdown or Close was called from a
	// handler or task, which they would wait for. Stop may be called there.
	ErrDeadlock = session.ErrDeadlock

	// ErrAbandoned: Shutdown or Close did not wait any longer for handlers that did
	// not return, and sessions whose handlers wait for the workers that these hold. All
	// sessions are closed; OnClose is called when handlers return.
	ErrAbandoned = errors.New("engine: handlers abandoned")

	// ErrUnsupported: weir has no poller for this system. It wraps
	// errors.ErrUnsupported.
	ErrUnsupported = fmt.Errorf("engine: no poller for this operating system: %w", errors.ErrUnsupported)
)

// OptionError tells which option has which bad value, and why it is bad.
type OptionError struct {
	Option string
	Value  any
	Why    string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("engine: option %s: %v: %s", e.Option, e.Value, e.Why)
}
