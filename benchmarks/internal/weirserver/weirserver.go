// Package weirserver starts the servers of the benchmarks that are made with weir. It
// imports what an older weir has, too, so that a program can be built with one
// (benchmarks compare).
package weirserver

import (
	"fmt"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// spin is how long a loop of weir-spin polls before it parks; as the floor's.
const spin = 50 * time.Microsecond

// Echo starts the echo server of that name on a free port of 127.0.0.1 and returns its
// address. It lives as long as the process.
func Echo(name string) (address string, err error) {
	switch name {
	case "weir":
		return echo(engine.Inline)
	case "weir-spin":
		return echo(engine.Inline, engine.WithSpin(spin))
	case "weir-pool":
		return echo(engine.Pool)
	default:
		return "", fmt.Errorf("weir: no echo server %q", name)
	}
}

// echo serves with an engine in that mode, all else as it comes.
func echo(mode engine.Mode, options ...engine.Option) (string, error) {
	e, err := engine.New(append(options, engine.WithMode(mode))...)
	if err != nil {
		return "", err
	}
	l, err := e.Listen("tcp4", "127.0.0.1:0", session.HandlerFunc(sendBack))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), nil
}

// sendBack answers a message with itself. A session that refuses one is ended, so that
// the load reports it.
func sendBack(s *session.Session, f session.Frame) {
	if err := s.Send(f.Bytes()); err != nil {
		_ = s.Abort() // it fails if the session has ended by itself
	}
}
