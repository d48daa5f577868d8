// Package inject names what the engine takes from outside: time, sockets, connections, the
// poller, and when workers are looked after. The simulator replaces all of them, so that it runs the very loop
// that ships. The types are internal: nobody outside this module can swap them.
package inject

import (
	"context"
	"net/netip"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// Deps are the engine's surroundings. A nil field means the real thing.
type Deps struct {
	Clock     Clock
	Sockets   sock.System
	NewPoller func() (poller.Poller, error)

	// Dial connects, on the goroutine of whoever dials, until ctx is done. The descriptor is
	// one of Sockets; it has no options set yet, and is the engine's. Peer is as
	// sock.System.Accept has it.
	Dial func(ctx context.Context, network, address string) (fd int, peer netip.AddrPort, err error)

	// Oversee takes the place of the goroutine that looks after workers. It is given what
	// that goroutine does at each look, which tells whether another is due soon, and
	// returns what rouses it when none was.
	Oversee func(look func() (again bool)) (rouse func())
}

// Clock tells the time. Loops ask once per turn.
type Clock interface {
	Now() time.Time
}
