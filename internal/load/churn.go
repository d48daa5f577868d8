package load

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// ChurnConfig describes connections that come and go. A life is: connect, send one
// message, get it back, send FIN, get the server's, close. So a server that defers what a
// connection's end costs does not look faster for it. Durations are nanoseconds in JSON.
type ChurnConfig struct {
	Address     string `json:"address"`      // of an echo server: IP and port
	AtOnce      int    `json:"at_once"`      // lives at any moment; the next begins when one is over
	MessageSize int    `json:"message_size"` // bytes

	// WarmUp comes first and is not counted, Duration is. Patience is how long the end
	// waits for the lives that are under way; 0 means a second.
	WarmUp   time.Duration `json:"warm_up_ns"`
	Duration time.Duration `json:"duration_ns"`
	Patience time.Duration `json:"patience_ns,omitempty"`

	// Reset ends a life with RST as soon as its message has come back, and leaves no
	// port in TIME_WAIT: for systems with few ports.
	Reset bool `json:"reset,omitempty"`
}

// churnAtOnceMax keeps below the accept queue of any server, and churnSizeMax below what
// a new connection sends at once.
const (
	churnAtOnceMax = 1 << 10
	churnSizeMax   = 16 << 10
)

// Validate names the first field that cannot be used.
func (c ChurnConfig) Validate() error {
	if _, err := netip.ParseAddrPort(c.Address); err != nil {
		return fmt.Errorf("load: address %q is not an IP address and a port: %w", c.Address, err)
	}
	switch {
	case c.AtOnce < 1 || c.AtOnce > churnAtOnceMax:
		return fmt.Errorf("load: at once must be 1 to %d, not %d", churnAtOnceMax, c.AtOnce)
	case c.MessageSize < 1 || c.MessageSize > churnSizeMax:
		return fmt.Errorf("load: message size must be 1 to %d bytes, not %d", churnSizeMax, c.MessageSize)
	}
	return c.config().validateTimes()
}

// config is the echo load that has the same times.
func (c ChurnConfig) config() Config {
	return Config{WarmUp: c.WarmUp, Duration: c.Duration, Patience: c.Patience}
}

// ChurnResult is what a churn saw. Durations are nanoseconds in JSON.
type ChurnResult struct {
	// Lives were over within the measured time, Duration.
	Lives          int64         `json:"lives"`
	Duration       time.Duration `json:"duration_ns"`
	LivesPerSecond float64       `json:"lives_per_second"`

	// Answer is the time from the beginning of a life until its message was back, Life
	// until it was over; of all Lives.
	Answer Latency `json:"answer"`
	Life   Latency `json:"life"`

	// All is how many lives were over in all phases, and Verified how many bytes were
	// compared with what had been sent, and equal.
	All      int64 `json:"all"`
	Verified int64 `json:"verified_bytes"`

	// Errors says which lives ended otherwise, the first few in words.
	Errors     []string `json:"errors,omitempty"`
	ErrorCount int      `json:"error_count,omitempty"`
}

// Err is nil if every life went as it should.
func (r ChurnResult) Err() error { return Result{Errors: r.Errors, ErrorCount: r.ErrorCount}.Err() }

// Churn has connections come and go as c describes, and returns what was seen. Progress,
// if not nil, is called at the start of each phase and once a second, on the goroutine of
// Churn, which it must not hold up. An error means that the load could not be run; what
// went wrong with a life is in ChurnResult.Errors, and ends the run.
func Churn(ctx context.Context, c ChurnConfig, progress func(Progress)) (ChurnResult, error) {
	if err := c.Validate(); err != nil {
		return ChurnResult{}, err
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	d, err := newChurnDriver(c, progress)
	if err != nil {
		return ChurnResult{}, err
	}
	defer d.close()
	err = d.run(ctx)
	return d.result(), err
}
