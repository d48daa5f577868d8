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

	// AfterFunc calls f once, on a goroutine of its own, when d has passed; at once if d is 0.
	// If stop is called before that, f is not called, and stop returns true.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)

	// Random returns a number from 0 to n-1, each as likely as the others. Any goroutine may
	// call it.
	Random func(n int64) int64

	// Oversee takes the place of the goroutine that looks after workers. It is given what
	// that goroutine does at each look, which tells whether another is due soon, and
	// returns what rouses it when none was.
	Oversee func(look func() (again bool)) (rouse func())
}

// Clock tells the time. Loops ask once per turn.
type Clock interface {
	Now() time.Time
}
