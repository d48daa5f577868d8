package transport

import (
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/internal/rate"
)

// Intake limits what the peer of each session may send.
type Intake struct {
	Messages Allowance
	Bytes    Allowance

	// Throttle has sessions that are over a limit wait, instead of end.
	Throttle bool

	// Elapsed is the time since the engine started, by a clock that nobody sets.
	Elapsed func() time.Duration

	// Throttled counts how often sessions began to wait.
	Throttled atomic.Uint64
}

// Allowance is one of the limits.
type Allowance struct {
	Limit    rate.Limit
	Exceeded error // why a session ends that is over it
}
