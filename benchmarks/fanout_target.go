package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

// target is a hub with its load.
type target struct {
	*server
	fan    *load.FanChild
	before serving.Memory // with no connection
	usedAt time.Time
	down   bool // it has failed, and the load is of no more use
}

// idleMax is how long connections may be silent while others are measured. After 15 s
// most systems would probe all of them at once, and what does not fit into the queue of
// the loopback is lost.
const idleMax = 10 * time.Second

// fresh sends one message if the target has been silent for long.
func (t *target) fresh() error {
	if time.Since(t.usedAt) < idleMax {
		return nil
	}
	if err := t.touch(); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}

// touch sends one message.
func (t *target) touch() error {
	_, err := t.run(load.FanRun{InFlight: 1, Messages: 1, Duration: fanoutPatience, Patience: fanoutPatience}, nil)
	return err
}

func (t *target) run(r load.FanRun, progress func(load.Progress)) (load.FanResult, error) {
	result, err := t.fan.Run(r, progress)
	t.usedAt = time.Now()
	return result, err
}

// measure runs one load, and reads what the server uses when the measured time begins and
// when it ends.
func (t *target) measure(r load.FanRun) (load.FanResult, used, error) {
	m := &meter{server: t.server}
	result, err := t.run(r, m.progress)
	used, meterErr := m.used()
	return result, used, errors.Join(err, meterErr)
}
