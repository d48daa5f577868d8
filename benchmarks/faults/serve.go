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
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// hello is the first line that a server writes.
type hello struct {
	PID       int    `json:"pid"` // not that of the tool that started it
	Address   string `json:"address"`
	Unrelated string `json:"unrelated,omitempty"`
	Beside    string `json:"beside,omitempty"` // of a second server, of the same kind
	Error     string `json:"error,omitempty"`
}

// state is what a server says of itself when asked.
type state struct {
	Goroutines  int            `json:"goroutines"`
	Heap        int64          `json:"heap"` // live and dead objects, in bytes
	Opened      int64          `json:"opened"`
	Closed      int64          `json:"closed"`
	ClosedAgain int64          `json:"closed_again"` // connections whose end was told twice
	CloseFaults int64          `json:"close_faults"` // closes that did not do what they should; see ending
	Handled     int64          `json:"handled"`      // bytes that handlers were given
	Unhandled   int64          `json:"unhandled"`    // bytes of which OnClose told that they were not
	Engine      map[string]any `json:"engine,omitempty"`
	Swarm       *swarmState    `json:"swarm,omitempty"`

	// At the end.
	Shutdown string        `json:"shutdown,omitempty"` // how it ended: "ok", or the error
	Again    []string      `json:"again,omitempty"`    // the same of further calls
	Deadline int64         `json:"deadline,omitempty"` // when the shutdown's time was up; Unix time, nanoseconds
	Over     time.Duration `json:"over_ns,omitempty"`  // how long after that it returned; negative: before
}

// serve is the body of a server process: args are the kind's name and flags. It
// writes hello, and then its state for each line on in:
//
//	state   as it is
//	gc      after a garbage collection has returned what is free
//
// and, where it is weir, as swarm.go has it, with the state of the swarm:
//
//	clients N ADDRESS   N clients of an address, each of which sends all the time
//	pump N ADDRESS      the same, as much as they can
//	mark, hush, part    newSwarm's methods of the name
//	came NANOSECONDS    when sessions began, seen from that Unix time
//	connect N ADDRESS   one client connects, within N milliseconds
//
// It ends when in ends, so that it never outlives its parent, and gracefully with
// SIGTERM or when a handler is told to stop the server, after a last state. Nothing
// here needs a descriptor that is not open.
func serve(args []string, in io.Reader, out io.Writer) int {
	lines := json.NewEncoder(out)
	r, s, err := startServing(args)
	if err != nil {
		_ = lines.Encode(hello{Error: err.Error()})
		return 1
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	commands := make(chan string)
	go func() {
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			commands <- scanner.Text()
		}
		close(commands)
	}()
	if err := lines.Encode(hello{PID: os.Getpid(), Address: r.address, Unrelated: r.unrelated, Beside: r.beside}); err != nil {
		return 1
	}
	for {
		select {
		case command, more := <-commands:
			if !more {
				return 0
			}
			st, err := r.obey(strings.Fields(command))
			if err != nil {
				logTo(args[0], "%s: %v", command, err)
			}
			if err := lines.Encode(st); err != nil {
				return 1
			}
		case <-terminate:
			return endGracefully(r.running, s, lines)
		case err := <-r.ended:
			st := stateOf(r.running)
			st.Shutdown = outcome(err)
			if err := lines.Encode(st); err != nil {
				return 1
			}
			return 0
		}
	}
}

// serving is a server of this process, and its flags.
type serving struct {
	running
	beside string // address of a second one, if there is one
	swarm  *swarm // clients; nil if there are none
}

// obey does what a line says, and returns the state.
func (r *serving) obey(words []string) (st state, err error) {
	name, amount, address := "", 0, ""
	if len(words) > 0 {
		name = words[0]
	}
	if len(words) > 1 {
		amount = mustNumber(words[1])
	}
	if len(words) > 2 {
		address = words[2]
	}
	moment := time.Now()
	switch {
	case name == "gc":
		runtime.GC() // twice in all, so that what sync.Pool holds goes too
		debug.FreeOSMemory()
	case r.engine == nil: // the other commands are for weir
	case name == "clients", name == "pump":
		r.swarm, err = newSwarm(r.engine, address, amount, name == "pump")
	case name == "connect":
		st = stateOf(r.running)
		st.Swarm = connectOnce(r.engine, address, time.Duration(amount)*time.Millisecond)
		return st, nil
	case r.swarm == nil:
	case name == "mark":
		r.swarm.mark()
	case name == "hush":
		r.swarm.hush()
	case name == "part":
		r.swarm.part()
	case name == "came":
		moment = time.Unix(0, int64(amount))
	}
	st = stateOf(r.running)
	if r.swarm != nil {
		st.Swarm = r.swarm.report(moment)
	}
	if name == "part" {
		r.swarm = nil
	}
	return st, err
}

func startServing(args []string) (serving, settings, error) {
	var r serving
	s := settings{network: "tcp4", address: "127.0.0.1:0"}
	second := s
	flags := flag.NewFlagSet(serveRole, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&s.drain, "drain", 10*time.Second, "")
	flags.DurationVar(&s.stall, "stall", 0, "")
	flags.IntVar(&s.workers, "workers", 0, "")
	flags.StringVar(&s.logger, "logger", "", "")
	flags.DurationVar(&s.keepAlive, "keepalive", 0, "")
	flags.DurationVar(&s.userTimeout, "usertimeout", 0, "")
	flags.IntVar(&s.readRate, "readrate", 0, "")
	flags.BoolVar(&s.unrelated, "unrelated", false, "")
	flags.BoolVar(&s.twice, "twice", false, "")
	flags.BoolVar(&s.careless, "careless", false, "")
	flags.IntVar(&perConnection, "keep", 0, "")
	flags.StringVar(&second.network, "beside", "", "")
	greet := flags.Int("greet", 0, "")
	dir := flags.String("dir", os.TempDir(), "")
	if len(args) == 0 {
		return r, s, fmt.Errorf("%s: want the name of a server", serveRole)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return r, s, err
	}
	k, err := findKind(args[0])
	if err != nil {
		return r, s, err
	}
	if r.running, err = k.start(s); err != nil || second.network == "" {
		return r, s, err
	}
	if *greet > 0 {
		second.greet = ownText(*greet)
	}
	if second.network == "unix" {
		second.address = filepath.Join(*dir, fmt.Sprint("socket", os.Getpid()))
	}
	other, err := k.start(second)
	r.beside = other.address
	return r, s, err
}

func stateOf(r running) state {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st := state{
		Goroutines: runtime.NumGoroutine(), Heap: int64(m.HeapAlloc),
		Opened: counters.opened.Load(), Closed: counters.closed.Load(),
		ClosedAgain: counters.closedAgain.Load(), CloseFaults: counters.closeFaults.Load(),
		Handled: counters.handled.Load(), Unhandled: counters.unhandled.Load(),
	}
	if r.stats != nil {
		st.Engine = asMap(r.stats())
	}
	return st
}

// asMap turns counters into what JSON makes of them, so that whoever reads needs
// their names only.
func asMap(counters any) (m map[string]any) {
	text, err := json.Marshal(counters)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return map[string]any{"Error": err.Error()}
	}
	return m
}

func endGracefully(r running, s settings, lines *json.Encoder) int {
	st := state{Shutdown: "has no graceful shutdown"}
	if r.shutdown != nil {
		st = shutDown(r, s)
	}
	if err := lines.Encode(st); err != nil {
		return 1
	}
	return 0
}

// shutDown shuts down, and if it is to do so twice, also at the same time and after
// that.
func shutDown(r running, s settings) state {
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	deadline, _ := ctx.Deadline() // it has one
	second := make(chan error, 1)
	if s.twice {
		go func() { second <- r.shutdown(ctx) }()
	}
	err := r.shutdown(ctx)
	over := time.Since(deadline)
	var again []string
	if s.twice {
		again = []string{outcome(<-second), outcome(r.shutdown(ctx))}
	}
	st := stateOf(r)
	st.Shutdown, st.Again, st.Deadline, st.Over = outcome(err), again, deadline.UnixNano(), over
	return st
}

// outcome is how a shutdown ended, in a word.
func outcome(err error) string {
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "ok"
}

// counters are those of the process's connections. Every server counts here.
var counters struct {
	opened, closed, closedAgain, closeFaults, handled, unhandled atomic.Int64
}

// life counts one connection's open and close.
type life struct {
	closed atomic.Bool
	kept   []byte
}

func (l *life) open() {
	counters.opened.Add(1)
	l.kept = keep()
}

func (l *life) close() {
	if l.closed.Swap(true) {
		counters.closedAgain.Add(1)
		return
	}
	counters.closed.Add(1)
}
