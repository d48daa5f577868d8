package engine

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// plugged is a Metrics made of functions.
type plugged struct {
	attach func(read func() Stats) error
	detach func()
}

func (p plugged) Attach(read func() Stats) (func(), error) { return p.detach, p.attach(read) }

// A Metrics may read from Attach on, and after the end.
func TestMetricsAreAttachedAndDetached(t *testing.T) {
	var read func() Stats
	var attached, detached atomic.Int32
	var e *Engine
	m := plugged{
		attach: func(r func() Stats) error {
			attached.Add(1)
			if got := r().Loops; got != 2 {
				t.Errorf("inside Attach there are %d loops, want 2", got)
			}
			read = r
			return nil
		},
		detach: func() {
			detached.Add(1)
			select {
			case <-e.ended:
				t.Error("detach comes after the engine has ended: Close does not wait for it")
			default:
			}
			if n := e.loopsRunning(); n != 0 {
				t.Errorf("detach comes while %d loops run", n)
			}
		},
	}
	e, err := New(WithLoops(2), WithLogger(NoLog{}), WithMetrics(m))
	if err != nil {
		t.Fatal(err)
	}
	if read().Turns > e.Stats().Turns {
		t.Error("what is read is not the engine's Stats")
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if attached.Load() != 1 || detached.Load() != 1 {
		t.Errorf("attached %d and detached %d times, want 1 each", attached.Load(), detached.Load())
	}
	if read().Loops != 2 {
		t.Error("after the end nothing can be read")
	}
}

func (e *Engine) loopsRunning() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running
}

func TestMetricsThatCannotBeAttached(t *testing.T) {
	cause := errors.New("no such place")
	for name, c := range map[string]struct {
		attach func(func() Stats) error
		want   string
	}{
		"error": {func(func() Stats) error { return cause }, "engine: metrics: no such place"},
		"panic": {func(func() Stats) error { panic("attach") }, "engine: metrics: panic: attach"},
	} {
		m := plugged{attach: c.attach, detach: func() { t.Errorf("%s: detached, though never attached", name) }}
		e, err := New(WithLogger(NoLog{}), WithMetrics(m))
		if e != nil || err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, %v; want %s", name, e, err, c.want)
		}
		if name == "error" && !errors.Is(err, cause) {
			t.Errorf("%v does not wrap its cause", err)
		}
	}
}

// TestFault57MetricsThatBlockOrPanic: the end comes all the same.
func TestFault57MetricsThatBlockOrPanic(t *testing.T) {
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	for name, detach := range map[string]func(){
		"nil":    nil,
		"blocks": func() { <-forever },
		"panics": func() { panic("detach") },
	} {
		t.Run(name, func(t *testing.T) {
			log := &recorder{least: Error}
			m := plugged{attach: func(func() Stats) error { return nil }, detach: detach}
			e, err := New(WithLogger(log), WithMetrics(m))
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- e.Close() }()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("Close does not return")
			}
			logged := strings.Join(log.names, " ")
			if want := map[bool]string{true: "panic"}[name == "panics"]; logged != want {
				t.Errorf("logged: %q, want %q", logged, want)
			}
		})
	}
}

// Who waits in detach for the engine's end waits for himself, but not for ever.
func TestMetricsThatEndTheEngine(t *testing.T) {
	var e *Engine
	m := plugged{attach: func(func() Stats) error { return nil }, detach: func() { _ = e.Close() }}
	e, err := New(WithLogger(NoLog{}), WithMetrics(m))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
