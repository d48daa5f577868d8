//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// hello is the first line of a child.
type hello struct {
	Address string `json:"address"`
	Error   string `json:"error,omitempty"`
}

// state is what a child says of itself when asked.
type state struct {
	Goroutines int          `json:"goroutines"`
	Heap       int64        `json:"heap"` // bytes of objects
	Engine     engine.Stats `json:"engine"`
	Handler    handlerState `json:"handler"`
	Clients    clientsState `json:"clients"`
	Wrong      []string     `json:"wrong,omitempty"` // sessions of which kernel and engine have counted differently

	Shutdown string `json:"shutdown,omitempty"` // at the end: "ok", or the error
}

const rest = "rest" // the command of that name

// The servers' kinds.
const (
	poolServer   = "pool"
	inlineServer = "inline"
	plainServer  = "plain"
)

// serve is the body of a server process. It writes hello, and then its state for each
// line on in: "rest" collects garbage before and compares with the kernel, anything else
// does not. It ends when in ends, and gracefully with SIGTERM, after a last state.
func serve(args []string, in io.Reader, out io.Writer) int {
	lines := json.NewEncoder(out)
	s, err := startServer(args)
	if err != nil {
		_ = lines.Encode(hello{Error: err.Error()})
		return 1
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	if err := lines.Encode(hello{Address: s.address}); err != nil {
		return 1
	}
	commands := linesOf(in)
	for {
		select {
		case command, more := <-commands:
			if !more {
				return 0
			}
			if err := lines.Encode(s.state(command == rest)); err != nil {
				return 1
			}
		case <-terminate:
			err := s.shutDown()
			st := s.state(false)
			st.Shutdown = "ok"
			if err != nil {
				st.Shutdown = strings.ReplaceAll(err.Error(), "\n", "; ")
			}
			if err := lines.Encode(st); err != nil {
				return 1
			}
			return 0
		}
	}
}

// linesOf returns the lines of in; the channel is closed at its end.
func linesOf(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() { // ends with in, at the latest with the process
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

// server is what a server process has.
type server struct {
	engine  *engine.Engine // nil: package net
	handler *handler
	address string
	drain   time.Duration
}

// startServer starts what args say: a kind and flags.
func startServer(args []string) (*server, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("%s: want the kind of server", serveRole)
	}
	flags := flag.NewFlagSet(serveRole, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	address := flags.String("address", "127.0.0.1:0", "")
	stall := flags.Duration("stall", 30*time.Second, "")
	frameTimeout := flags.Duration("frame", 30*time.Second, "")
	spread := flags.Duration("spread", 0, "")
	leaks := flags.String("leak", "", "")
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	leak, err := newLeak(*leaks)
	if err != nil {
		return nil, err
	}
	mode := engine.Pool
	switch args[0] {
	case poolServer:
	case inlineServer:
		mode = engine.Inline
	case plainServer:
		at, err := echoPlainly(*address)
		return &server{address: at}, err
	default:
		return nil, fmt.Errorf("%s: %q: no such kind of server", serveRole, args[0])
	}
	e, err := engine.New(engine.WithMode(mode), engine.WithStallTimeout(*stall), engine.WithFrameTimeout(*frameTimeout),
		engine.WithDrainSpread(*spread), engine.WithGroups(groupConfig))
	if err != nil {
		return nil, err
	}
	h := &handler{engine: e, leak: leak}
	l, err := e.Listen("tcp4", *address, session.Framed(h, frame.Default()))
	if err != nil {
		return nil, err
	}
	return &server{engine: e, handler: h, address: l.Addr().String(), drain: *spread + patience/2}, nil
}

func (s *server) shutDown() error {
	if s.engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	return s.engine.Shutdown(ctx)
}

// state looks at the process. Resting it has nothing to do, and is to have no garbage.
func (s *server) state(resting bool) state {
	st := stateOf(s.engine, resting)
	if s.handler != nil {
		st.Handler = s.handler.state()
	}
	return st
}

// stateOf is what servers and clients have in common.
func stateOf(e *engine.Engine, resting bool) state {
	if resting {
		runtime.GC() // twice in all, so that what sync.Pool holds goes too
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st := state{Goroutines: runtime.NumGoroutine(), Heap: int64(m.HeapAlloc)}
	if e != nil {
		st.Engine = e.Stats()
		if resting {
			st.Wrong = kernelDiffers(e)
		}
	}
	return st
}
