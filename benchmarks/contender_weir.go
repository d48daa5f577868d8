package main

import (
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// weirSpin is how long a loop of weir-spin polls before it parks; as floor-spin.
const weirSpin = 50 * time.Microsecond

func startWeir() (string, error)         { return newWeir(engine.Inline) }
func startSpinningWeir() (string, error) { return newWeir(engine.Inline, engine.WithSpin(weirSpin)) }
func startPooledWeir() (string, error)   { return newWeir(engine.Pool) }

// newWeir serves with an engine in that mode, all else as it comes. The engine
// lives as long as the process.
func newWeir(mode engine.Mode, options ...engine.Option) (string, error) {
	e, err := engine.New(append(options, engine.WithMode(mode))...)
	if err != nil {
		return "", err
	}
	l, err := e.Listen("tcp4", "127.0.0.1:0", session.HandlerFunc(echoWeir))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), nil
}

// echoWeir sends a message back. A session that refuses one is ended, so that the
// load reports it.
func echoWeir(s *session.Session, f session.Frame) {
	if err := s.Send(f.Bytes()); err != nil {
		_ = s.Abort() // it fails if the session has ended by itself
	}
}
