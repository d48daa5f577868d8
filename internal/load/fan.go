package load

import (
	"context"
	"fmt"
	"time"
)

// FanConfig describes the connections of a fan-out load: to a hub that sends every
// message it gets to every connection, the sender's own included.
type FanConfig struct {
	Address     string `json:"address"` // of the hub, as in Config
	Publishers  int    `json:"publishers"`
	Subscribers int    `json:"subscribers"`
	MessageSize int    `json:"message_size"` // bytes; the hub knows it too
}

// The bounds of a FanConfig. A message needs room for its header and for bytes that
// tell it from others.
const (
	fanPublishersMax = 16
	fanSizeMin       = 16
	fanSizeMax       = 64 << 10
	fanInFlightMax   = 1 << 12
)

// Validate names the first field that cannot be used.
func (c FanConfig) Validate() error {
	if _, _, err := splitAddress(c.Address); err != nil {
		return err
	}
	switch {
	case c.Publishers < 1 || c.Publishers > fanPublishersMax:
		return fmt.Errorf("load: publishers must be 1 to %d, not %d", fanPublishersMax, c.Publishers)
	case c.Subscribers < 1 || c.Subscribers > maxConnections:
		return fmt.Errorf("load: subscribers must be 1 to %d, not %d", maxConnections, c.Subscribers)
	case c.MessageSize < fanSizeMin || c.MessageSize > fanSizeMax:
		return fmt.Errorf("load: message size must be %d to %d bytes, not %d", fanSizeMin, fanSizeMax, c.MessageSize)
	}
	return nil
}

// FanRun is one load over the connections of a Fan: either a window of messages, or
// a rate. A message is finished when every connection has received it, and
// unfinished until then. Durations are nanoseconds in JSON.
type FanRun struct {
	// InFlight is how many unfinished messages each publisher keeps. With a Rate
	// it is 0.
	InFlight int `json:"in_flight,omitempty"`

	// Rate is how many messages a second all publishers together are to send, at
	// even intervals. Latencies count from the moment a message was due: a hub that
	// holds the publisher up, or has FanBacklog messages unfinished, pays for it.
	Rate float64 `json:"rate,omitempty"`

	// WarmUp comes first and is not counted, Duration is. With a window both last
	// until a message is finished, so that whole windows are measured. Messages, unless 0, ends
	// the measured time early, when so many have been sent in the run.
	WarmUp   time.Duration `json:"warm_up_ns"`
	Duration time.Duration `json:"duration_ns"`
	Messages int64         `json:"messages,omitempty"`

	// Patience is how long the end waits for what is unfinished; 0 means ten
	// seconds.
	Patience time.Duration `json:"patience_ns,omitempty"`
}

// FanBacklog is how many messages of one publisher may be unfinished at a fixed
// rate. A hub that queues as many for each connection loses nothing.
const FanBacklog = 64

const fanPatience = 10 * time.Second

// Validate names the first field that cannot be used.
func (r FanRun) Validate() error {
	switch {
	case r.InFlight == 0 && !(r.Rate > 0): // NaN too
		return fmt.Errorf("load: want a number of messages in flight or a rate above 0, not %v", r.Rate)
	case r.InFlight < 0 || r.InFlight > fanInFlightMax:
		return fmt.Errorf("load: in flight must be 0 to %d, not %d", fanInFlightMax, r.InFlight)
	case r.InFlight > 0 && r.Rate != 0:
		return fmt.Errorf("load: in flight and rate exclude one another")
	case r.Rate > rateMax:
		return fmt.Errorf("load: rate must be at most a message per nanosecond")
	case r.WarmUp < 0:
		return fmt.Errorf("load: warm-up must not be negative, not %v", r.WarmUp)
	case r.Duration <= 0:
		return fmt.Errorf("load: duration must be positive, not %v", r.Duration)
	case r.Messages < 0:
		return fmt.Errorf("load: messages must not be negative, not %d", r.Messages)
	case r.Patience < 0:
		return fmt.Errorf("load: patience must not be negative, not %v", r.Patience)
	}
	return nil
}

// window is how many messages of one publisher may be unfinished.
func (r FanRun) window() int64 {
	if r.InFlight > 0 {
		return int64(r.InFlight)
	}
	return FanBacklog
}

// length is how long a phase lasts at most.
func (r FanRun) length(p Phase) time.Duration {
	switch p {
	case WarmingUp:
		return r.WarmUp
	case Measuring:
		return r.Duration
	default:
		return r.Patience
	}
}

// FanResult is what a fan-out load saw.
type FanResult struct {
	// Deliveries are messages that arrived at a subscriber within the measured
	// time, Duration.
	Deliveries          int64         `json:"deliveries"`
	Duration            time.Duration `json:"duration_ns"`
	DeliveriesPerSecond float64       `json:"deliveries_per_second"`

	// Messages were sent, or due, in the measured time; they may have arrived
	// later. The latencies are theirs: Last until the last connection has a
	// message; Each, only at a fixed rate, until each subscriber has it. Late is by
	// how much the publisher missed the moment at a fixed rate, which is part of
	// both.
	Messages int64   `json:"messages"`
	Last     Latency `json:"last"`
	Each     Latency `json:"each"`
	Late     Latency `json:"late"`

	// Sent is how many messages the first publisher has sent, in all runs so far.
	Sent int64 `json:"sent"`

	// Verified bytes arrived and were what was expected: those of the warm-up and
	// of publishers' connections included.
	Verified int64 `json:"verified_bytes"`
}

// Fan holds connections to a hub. Its methods belong to one goroutine.
type Fan struct {
	driver *fanDriver
}

// NewFan opens the connections and returns when the hub knows all of them.
func NewFan(ctx context.Context, c FanConfig) (*Fan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d, err := newFanDriver(c)
	if err != nil {
		return nil, err
	}
	err = d.connect(ctx)
	if err == nil {
		err = d.meet(ctx)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return &Fan{d}, nil
}

// Run puts the hub under one load. Progress, if not nil, is called at the start of
// each phase, on the goroutine of Run, which it must not hold up.
//
// Every byte that arrives is compared with what was sent. The first that is wrong,
// missing or too much ends the run with an error, and so does a connection that
// the hub closes; after an error the Fan is of no more use.
func (f *Fan) Run(ctx context.Context, r FanRun, progress func(Progress)) (FanResult, error) {
	if err := r.Validate(); err != nil {
		return FanResult{}, err
	}
	if r.Patience == 0 {
		r.Patience = fanPatience
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	return f.driver.run(ctx, r, progress)
}

// Close closes all connections, with RST, so that no port is left in TIME_WAIT.
func (f *Fan) Close() { f.driver.close() }
