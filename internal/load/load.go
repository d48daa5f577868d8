// Package load puts an echo server under load and checks every byte that comes
// back. cmd/echo and the benchmarks share it.
//
// The load is a closed loop: each connection keeps a fixed number of messages in
// flight and sends the next one only when one has come back. Or it is an open loop:
// messages are sent when they are due, whether others have come back or not. One
// goroutine with one Poller drives all connections, so that the load costs less than
// what it measures:
//
//  1. connect: net.Dialer opens the connections, a few at a time (dial.go)
//  2. take over: the descriptor moves to the driver's poller (wire.go)
//  3. drive: wait, read until the socket is empty, compare with the pattern,
//     top up the window by one write (driver.go, stream.go, offer.go, conn.go)
//  4. report: once a second, and a Result at the end (phase.go, result.go)
//
// Load in a process of its own goes through Child and Main (child.go, main.go).
// Idle holds connections that say nothing (idle.go). Churn opens connections for one
// message each (churn.go). Fan puts a hub under load, which sends what one connection
// says to all (fan.go).
package load

import (
	"context"
	"fmt"
	"time"
)

// Config describes one echo load. Durations are nanoseconds in JSON.
type Config struct {
	// Address of the echo server: host:port, or unix:/path.
	Address string `json:"address"`

	Connections int `json:"connections"`
	MessageSize int `json:"message_size"` // bytes

	// Depth is how many messages are in flight on each connection. With a Rate it is
	// how many may be: what is due beyond that waits for an answer.
	Depth int `json:"depth"`

	// Rate, unless 0, makes it an open loop: all connections together send so many
	// messages a second, in turn and at even intervals. Latencies count from the
	// moment a message was due, so that a server that holds the load up pays for it.
	Rate float64 `json:"rate,omitempty"`

	// WarmUp comes first and is not counted, Duration is.
	WarmUp   time.Duration `json:"warm_up_ns"`
	Duration time.Duration `json:"duration_ns"`

	// Patience is how long the end waits for echoes that are still on their way.
	// What has not come by then is reported as unanswered; 0 means a second.
	Patience time.Duration `json:"patience_ns,omitempty"`

	// Reset closes with RST, so that no port is left in TIME_WAIT. For many
	// short runs in a row.
	Reset bool `json:"reset,omitempty"`
}

// The bounds of a Config. They keep a typing error from taking the machine; the
// windows of a whole run must also be addressable by their send times (8 bytes
// for each message in flight).
const (
	maxConnections = 1 << 17
	maxMessageSize = 64 << 20
	maxDepth       = 1 << 12
	maxInFlight    = 1 << 24
)

const defaultPatience = time.Second

// Validate names the first field that cannot be used.
func (c Config) Validate() error {
	if _, _, err := splitAddress(c.Address); err != nil {
		return err
	}
	switch {
	case c.Connections < 1 || c.Connections > maxConnections:
		return fmt.Errorf("load: connections must be 1 to %d, not %d", maxConnections, c.Connections)
	case c.MessageSize < 1 || c.MessageSize > maxMessageSize:
		return fmt.Errorf("load: message size must be 1 to %d bytes, not %d", maxMessageSize, c.MessageSize)
	case c.Depth < 1 || c.Depth > maxDepth:
		return fmt.Errorf("load: depth must be 1 to %d, not %d", maxDepth, c.Depth)
	case c.Connections*c.Depth > maxInFlight:
		return fmt.Errorf("load: connections × depth must be at most %d, not %d", maxInFlight, c.Connections*c.Depth)
	case !(c.Rate >= 0 && c.Rate <= rateMax): // NaN too
		return fmt.Errorf("load: rate must be 0 to %.0f messages/s, not %v", rateMax, c.Rate)
	}
	return c.validateTimes()
}

func (c Config) validateTimes() error {
	switch {
	case c.WarmUp < 0:
		return fmt.Errorf("load: warm-up must not be negative, not %v", c.WarmUp)
	case c.Duration <= 0:
		return fmt.Errorf("load: duration must be positive, not %v", c.Duration)
	case c.Patience < 0:
		return fmt.Errorf("load: patience must not be negative, not %v", c.Patience)
	}
	return nil
}

// length is how long a phase lasts at most.
func (c Config) length(p Phase) time.Duration {
	switch p {
	case WarmingUp:
		return c.WarmUp
	case Measuring:
		return c.Duration
	default:
		return c.Patience
	}
}

// Run puts the server under the load that c describes and returns what was seen.
// Progress, if not nil, is called on the goroutine of Run, which it must not hold
// up: at the start of each phase and once a second.
//
// An error means that the load could not be run: a bad Config, a failed dial, or
// the context, whose end stops the run at once (the Result then holds what was
// measured so far). What a connection did wrong while it ran is in
// Result.Errors instead; Result.Err sums both up.
func Run(ctx context.Context, c Config, progress func(Progress)) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	d, err := newDriver(c, progress)
	if err != nil {
		return Result{}, err
	}
	defer d.close()
	if err := d.connect(ctx); err != nil {
		return Result{}, err
	}
	err = d.run(ctx)
	return d.result(), err
}
