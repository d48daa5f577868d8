package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/sock"
)

const serveAbout = `echo sends back what it receives, byte for byte: to the sender, or with -reply all
to everybody.

  echo [flags]           serve until Ctrl-C
  echo demo              start a server and a load, and show round trips and memory
  echo demo -fanout N    the same for messages to N sessions each
  echo doctor            look at the system's limits and say what to raise

Flags:
`

const serveExamples = `
Ctrl-C ends accepting, writes what is queued, waits for the clients to close and tells
how it ended; a second Ctrl-C ends at once.

Examples:
  echo                                    serve on 127.0.0.1:7000
  echo -addr unix:/tmp/echo.sock -idle 0  serve on a unix socket, for ever
  echo -addr [::1]:0 -mode single         serve on one loop, on a free port
  echo -debug 127.0.0.1:7001              serve, and let others look inside
  echo -wire line -reply all -idle 0      serve a chat room: two terminals with nc

  nc 127.0.0.1 7000                       type a line, get it back
  socat - UNIX-CONNECT:/tmp/echo.sock
  head -c 1G /dev/zero | socat -t 60 - TCP:127.0.0.1:7000 | sha256sum

  curl 127.0.0.1:7001/stats               counters as text
  curl '127.0.0.1:7001/stats?format=json' the same as JSON
  curl '127.0.0.1:7001/stats?gc=1'        after a garbage collection
  curl 127.0.0.1:7001/closed              the sessions that closed last, and why
  go tool pprof 127.0.0.1:7001/debug/pprof/profile?seconds=5
`

func serveCommand(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	fs := flag.NewFlagSet("echo", flag.ContinueOnError)
	s.define(fs)
	if done, err := parse(fs, args, out, serveAbout, serveExamples); done || err != nil {
		return err
	}
	if err := s.check(fs); err != nil {
		return err
	}
	return serve(ctx, s, out)
}

// serve runs the server until ctx ends:
//
//  1. an engine, which owns the loops
//  2. a listener on it: from here on clients are served
//  3. wait; then stop accepting, write what is queued, close (drain)
//  4. tell how it ended: final.go
func serve(ctx context.Context, s settings, out io.Writer) error {
	log := &mutable{Logger: s.logger}
	s.logger = log
	e, err := engine.New(s.options()...)
	if err != nil {
		return badOption(err)
	}
	defer e.Close()
	if s.debug != "" {
		d, err := listenDebug(s.debug, e)
		if err != nil {
			log.mute()
			return badAddress("debug", s.debug, err)
		}
		defer d.close()
		fmt.Fprintf(out, "echo: debug on http://%s/\n", d.addr())
	}

	network, address := splitAddress(s.addr)
	l, err := e.Listen(network, address, s.service(e))
	if err != nil {
		log.mute()
		return badAddress("addr", s.addr, err)
	}
	fmt.Fprintf(out, "echo: listening on %s (%s, loops: %d)%s\n", addressText(l.Addr()), s.mode, e.Stats().Loops, descriptors())

	stop := context.AfterFunc(ctx, func() {
		fmt.Fprintln(out, "echo: draining; Ctrl-C again ends at once")
	})
	defer stop()
	err = e.Serve(ctx)
	writeFinal(out, e.Stats())
	writeGroups(out, e.Stats().GroupSent)
	return err
}

// mutable is a Logger that falls silent when the program cannot start, so that the
// line which tells why stands alone.
type mutable struct {
	engine.Logger
	muted atomic.Bool
}

func (m *mutable) mute() { m.muted.Store(true) }

// Enabled is false once the logger is muted.
func (m *mutable) Enabled(level engine.Level) bool {
	return !m.muted.Load() && m.Logger.Enabled(level)
}

// descriptors says how many connections the process can have. Go raises the limit
// as far as the system allows when the process starts.
func descriptors() string {
	soft, _, err := sock.FDLimit()
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", at most %d open files", soft)
}
