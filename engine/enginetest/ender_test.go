package enginetest

import (
	"context"
	"errors"
	"time"

	"github.com/weirnet/weir/engine"
)

// ender ends the engine at a certain moment.
type ender struct {
	sim      *simulation
	draws    draws
	at       time.Time
	way      way
	hang     bool // a handler hangs from then on, and has to be abandoned
	cancel   context.CancelFunc
	calls    bool // what waits for the engine has not returned
	err      error
	returned bool
}

// way is how an engine is ended.
type way uint8

const (
	stops way = iota
	closes
	shutsDown // and its time is up after a while
	ways
)

func (e *ender) String() string { return "" }
func (e *ender) ready() bool    { return !e.at.IsZero() && !e.sim.now.Before(e.at) }

// wakes also lets time pass for who waits for the engine, in real time.
func (e *ender) wakes() time.Time {
	if e.at.IsZero() && e.calls && !e.returned && !e.sim.over() {
		return e.sim.now.Add(10 * time.Millisecond)
	}
	return e.at
}

func (e *ender) step() {
	s := e.sim
	e.at = time.Time{}
	if e.cancel != nil {
		s.note("the engine's shutdown is cancelled")
		e.cancel()
		s.beside(func() {})
		return
	}
	s.hang = e.hang
	switch e.way {
	case stops:
		s.endEngine()
	case closes:
		s.engineEnds()
		s.note("the engine is closed")
		e.call(s.engine.Close)
	case shutsDown:
		s.engineEnds()
		s.note("the engine is shut down")
		ctx, cancel := context.WithCancel(context.Background())
		e.cancel, e.at = cancel, s.now.Add(e.draws.within(time.Second))
		e.call(func() error { return s.engine.Shutdown(ctx) })
	}
}

// call has somebody wait for the engine.
func (e *ender) call(end func() error) {
	e.calls = true
	e.sim.beside(func() {
		e.err = end()
		e.returned = true
	})
}

// check is what must hold at the end.
func (e *ender) check() {
	s := e.sim
	switch {
	case e.calls && !e.returned:
		s.failf("the engine has ended, and who waits for it does not know")
	case s.hung > 0 && e.calls && !errors.Is(e.err, engine.ErrAbandoned):
		s.failf("%d handlers hang, and the engine's end tells %v", s.hung, e.err)
	}
}

// endEngine begins a graceful end.
func (s *simulation) endEngine() {
	s.engineEnds()
	s.note("the engine is stopped")
	s.engine.Stop()
}

// engineEnds notes that from now on connections may be cut short.
func (s *simulation) engineEnds() {
	if !s.ending {
		s.endedAt = s.idled()
	}
	s.ending = true
	for _, t := range s.tracks {
		t.meddled = t.meddled || t.state != closed
	}
}

// engineFails is engineEnds for an engine that ends by itself.
func (s *simulation) engineFails() { s.engineEnds() }
