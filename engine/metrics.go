package engine

import (
	"fmt"
	"time"
)

// Metrics is told of an engine once, and from then on reads its counters whenever it
// wants to know them: the engine itself counts and never calls, so that nothing a
// Metrics does can hold up a loop or a handler. Package engine/metrics has one over
// the standard library's expvar.
type Metrics interface {
	// Attach is called by New, on its caller's goroutine and before the first
	// connection. Any goroutine may call read, also at the same time and inside
	// Attach; it is Engine.Stats. It stays callable after the engine's end, when the
	// counters stand still, and keeps the engine in memory until it is let go.
	//
	// When the engine has ended, detach is called once, on a goroutine of its own. The
	// engine waits for it, up to a second. It may be nil. An error or a panic of
	// Attach makes New return an error; a panic of detach is logged.
	Attach(read func() Stats) (detach func(), err error)
}

// metricsPatience is how long the end of an engine waits for its Metrics.
const metricsPatience = time.Second

// attachMetrics tells the Metrics, if there is one, of the engine.
func (e *Engine) attachMetrics() (err error) {
	if e.options.metrics == nil {
		return nil
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("engine: metrics: panic: %v", value)
		}
	}()
	if e.detach, err = e.options.metrics.Attach(e.Stats); err != nil {
		return fmt.Errorf("engine: metrics: %w", err)
	}
	return nil
}

// detachMetrics tells it that the engine has ended.
func (e *Engine) detachMetrics() {
	if e.detach == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer e.log.recoverTask()
		e.detach()
	}()
	timer := time.NewTimer(metricsPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
