// Package inject names what the engine takes from outside: time, sockets,
// connections, the poller, chance, how callers wait, who runs beside them, and when workers
// are looked after.
// The simulator replaces them, so that it runs the very loop that ships. The types are
// internal: nobody outside this module can swap them.
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
	// Memory replaces what the runtime and the cgroup tell. With Oversee and without this
	// nobody looks at memory.
	Memory Memory

	// Oversee takes the place of the goroutine that looks after workers. It is given what
	// that goroutine does at each look, which tells whether another is due soon, and
	// returns what rouses it when none was.
	Oversee func(look func() (again bool)) (rouse func())

	// Wait is what callers wait with who may: until free has a value or is closed, for at
	// most retry unless that is 0, or until ctx ends, whose cause it returns.
	Wait func(ctx context.Context, free <-chan struct{}, retry time.Duration) error

	// Yield has other threads run that wait for the caller's processor.
	Yield func()

	// Hash spreads peers' addresses over loops, where they are placed by address.
	Hash func(netip.Addr) uint64
}

// Clock tells the time. Loops ask once per turn.
type Clock interface {
	Now() time.Time
}

// Memory tells what the process uses.
type Memory interface {
	// Read is cheap. One goroutine calls it.
	Read() MemoryUse

	// Collect has garbage collected, and what is free given back to the system. It takes
	// as long as that takes; one goroutine at a time calls it, while others may Read.
	Collect()
}

// MemoryUse is what the process uses, in bytes.
type MemoryUse struct {
	Held    int64  // of the system's memory, by the Go runtime
	Firm    int64  // the same, without what was garbage when it was collected last, what came since, and what is free
	Live    int64  // of this, what is on the heap
	Cycles  uint64 // how often garbage has been collected
	Outside int64  // what the cgroup counts more than Held; less than 0 if not all of Held has been touched
}
