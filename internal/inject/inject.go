// Package inject names what the engine takes from outside: time, sockets and
// the poller. The simulator replaces all of them, so that it runs the very loop
// that ships. The types are internal: nobody outside this module can swap them.
package inject

import (
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// Deps are the engine's surroundings. A nil field means the real thing.
type Deps struct {
	Clock     Clock
	Sockets   sock.System
	NewPoller func() (poller.Poller, error)
}

// Clock tells the time. Loops ask once per turn.
type Clock interface {
	Now() time.Time
}
