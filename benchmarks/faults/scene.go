//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault is a row, or one of several variants of a row.
type fault struct {
	row      int
	name     string
	how      string // by what it is injected
	required string
	quick    bool // part of a quick run
	healthy  int  // clients that must feel nothing; 0 if the fault ends the server
	apart    bool // they are served by a second engine in the same process
	own      bool // all of it happens in a network of its own; see netns.go

	tools      []string                                    // that must be there
	wrap       func(s *scene, calm bool) ([]string, error) // the tool that starts the server; nil: none
	calm       bool                                        // wrap without the fault is what to compare with
	flags      []string                                    // of the server
	foreign    string                                      // why it does not apply to other servers; empty: it does
	exempt     func(k kind) (why string)                   // why it does not apply to a kind; nil: it does
	unpromised func(k kind) (why string)                   // why a kind promises nothing, and is only shown; nil: it promises
	play       func(s *scene)                              // injects, and says what it saw
}

// scene is one fault on one server. It goes like this:
//
//  1. start the server, under a tool if need be, and its healthy clients
//  2. measure them, and what the server uses: the base
//  3. inject, and watch (play)
//  4. measure the clients meanwhile
//  5. wait until the server uses no more than before
//  6. ask it for one more echo, and look at its log
type scene struct {
	*bench
	fault fault
	kind  kind

	server *child
	hello  hello
	probe  *child
	base   usage
	began  time.Time    // of step 3
	trace  *strace      // of wrap, if it made one
	group  *memoryGroup // likewise

	result
}

// usage is what a server holds.
type usage struct {
	Descriptors int   `json:"descriptors"`
	Goroutines  int   `json:"goroutines"`
	Resident    int64 `json:"resident_bytes"`
}

// Bounds of a scene.
const (
	sceneMax   = 90 * time.Second
	settleMax  = 5 * time.Second // to be back at base
	settleStep = 100 * time.Millisecond
)

// stage plays a fault on a kind of server. Whatever the server does, it returns.
func (b *bench) stage(ctx context.Context, f fault, k kind) result {
	s := &scene{bench: b, fault: f, kind: k, result: result{
		Row: f.row, Fault: f.name, How: f.how, Required: f.required, Server: k.name,
		Clients: f.healthy, limit: b.allow(healthyMax), worst: b.allow(worstMax),
	}}
	if s.Excused = f.excuse(k); s.Excused != "" {
		s.judge()
		return s.result
	}
	if f.unpromised != nil {
		s.Unpromised = f.unpromised(k)
	}
	for _, tool := range f.tools {
		if s.Cannot = b.lacks(tool); s.Cannot != "" {
			s.judge()
			return s.result
		}
	}
	// Children that do not obey are killed: what waits for them then fails.
	guard := context.AfterFunc(ctx, s.killAll)
	defer guard()
	late := time.AfterFunc(sceneMax, s.killAll)
	defer late.Stop()
	if f.own {
		if err := inOwnNetwork(s.run); err != nil {
			s.Cannot = err.Error()
		}
	} else {
		s.run()
	}
	s.judge()
	return s.result
}

func (f fault) excuse(k kind) string {
	if f.foreign != "" && !k.weir {
		return f.foreign
	}
	if f.exempt != nil {
		return f.exempt(k)
	}
	return ""
}

func (s *scene) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.children {
		c.kill()
	}
}

func (s *scene) run() {
	defer func() {
		if s.group != nil {
			s.group.remove()
		}
	}()
	defer s.stopAll()
	before := readLosses()
	defer func() {
		if lost := readLosses().since(before); lost != "" {
			s.see("segments that the kernel threw away: %s", lost)
		}
	}()
	if s.fault.calm {
		if err := s.start(true); err != nil {
			s.fail("%v", err)
			return
		}
		s.measureBefore()
		s.stopAll()
	}
	if err := s.start(false); err != nil {
		s.Clients = 0 // nothing was measured
		s.fail("%v", err)
		if s.server != nil {
			s.fail("the server: %s", s.lastWords())
		}
		return
	}
	if s.server == nil {
		s.fault.play(s)
		return
	}
	if !s.fault.calm {
		s.measureBefore()
	}
	s.base = s.uses()
	s.began = time.Now()
	s.fault.play(s)
	if s.fault.healthy == 0 {
		return
	}
	time.Sleep(time.Until(s.began.Add(s.before())))
	s.During, s.Broken = s.mark()
	s.settle()
	s.examine()
}

// start starts server and healthy clients. A fault without a wrap and without
// clients starts what it needs itself.
func (s *scene) start(calm bool) error {
	if s.fault.healthy == 0 && s.fault.wrap == nil {
		return nil
	}
	var tool []string
	if s.fault.wrap != nil {
		var err error
		if tool, err = s.fault.wrap(s, calm); err != nil {
			return err
		}
	}
	if err := s.startServer(tool); err != nil {
		return err
	}
	address := s.hello.Address
	if s.fault.apart {
		address = s.hello.Unrelated
	}
	probe, err := s.child(nil, probeRole, address, strconv.Itoa(s.fault.healthy))
	if err != nil {
		return err
	}
	s.probe = probe
	var connected probeReport
	if err := probe.read(&connected, time.Minute); err != nil {
		return fmt.Errorf("healthy clients: %w", err)
	}
	if connected.Error != "" {
		return fmt.Errorf("healthy clients: %s", connected.Error)
	}
	return nil
}

func (s *scene) startServer(tool []string) error {
	args := append([]string{serveRole, s.kind.name, "-dir=" + s.dir}, s.fault.flags...)
	server, err := s.child(tool, args...)
	if err != nil {
		return err
	}
	s.server = server
	if err := server.read(&s.hello, startWithin); err != nil {
		return fmt.Errorf("server: %w: %s", err, firstLine(server.log.text()))
	}
	if s.hello.Error != "" {
		return fmt.Errorf("server: %s", s.hello.Error)
	}
	return nil
}

// child starts one that ends with the scene.
func (s *scene) child(tool []string, args ...string) (*child, error) {
	c, err := startChild(tool, args...)
	if err == nil {
		c.evidence = s.evidence
		s.mu.Lock()
		s.children = append(s.children, c)
		s.mu.Unlock()
	}
	return c, err
}

func (s *scene) stopAll() {
	s.mu.Lock()
	children := s.children
	s.children = nil
	s.mu.Unlock()
	for _, c := range slices.Backward(children) {
		c.stop()
	}
}

// measureBefore measures for a while, and longer if the healthy clients have had no turn yet.
func (s *scene) measureBefore() {
	time.Sleep(s.warmUp())
	s.mark()
	s.until(settleMax, func() bool {
		time.Sleep(s.before())
		s.Before, _ = s.mark()
		return s.Before.Count > 0 || !s.probe.alive()
	})
}

// mark asks the healthy clients what they measured since the last mark.
func (s *scene) mark() (latency, int) {
	var r probeReport
	if err := s.probe.ask("mark", &r); err != nil {
		s.fail("healthy clients: %v", err)
	}
	return r.Latency, r.Broken
}

// state asks the server; it is empty if the server does not answer.
func (s *scene) state() (st state) {
	_ = s.server.ask("state", &st) // examine notices whether the server is gone
	return st
}

// uses is what the server uses after a garbage collection. Goroutines are 0 if it
// does not answer.
func (s *scene) uses() usage {
	var st state
	_ = s.server.ask("gc", &st) // examine notices whether the server is gone
	return usage{descriptorsOf(s.hello.PID), st.Goroutines, residentOf(s.hello.PID)}
}

// What may differ from the base: workers that wait for work, and memory that the
// runtime keeps. Descriptors may not.
const (
	goroutinesSlack = 16
	residentSlack   = 16 << 20 // bytes
)

func (u usage) within(base usage) bool {
	return u.Descriptors <= base.Descriptors && u.Goroutines <= base.Goroutines+goroutinesSlack &&
		u.Resident <= base.Resident+residentSlack
}

// settle waits until the server is back at its base.
func (s *scene) settle() {
	began := time.Now()
	s.Base = s.base
	for {
		s.After = s.uses()
		s.Settled = time.Since(began)
		if s.Back = s.After.within(s.base) && s.server.alive(); s.Back || s.Settled > settleMax || !s.server.alive() {
			return
		}
		time.Sleep(settleStep)
	}
}

// linesMaxPerSecond is how often weir may log one event in a second, and one more
// for a clock that is read twice.
const linesMaxPerSecond = 2

// examine asks for one more echo and looks at the log.
func (s *scene) examine() {
	if !s.server.alive() {
		s.fail("the process has ended: %s", s.lastWords())
		return
	}
	c, err := dialEcho(s.hello.Address)
	if err != nil {
		s.fail("a new connection is not served: %v", err)
	} else {
		reset(c)
	}
	if event, n := s.server.log.busiest(); s.kind.weir && n > linesMaxPerSecond {
		s.fail("logged %q %d times within a second", event, n)
	}
}

// lastWords is the line in which a server says that it has ended, or the runtime
// why, or else the last one.
func (s *scene) lastWords() string {
	last := "without a word"
	for line := range strings.Lines(s.server.log.text()) {
		last = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "has ended") {
			break
		}
	}
	return last
}

// counter returns one of the engine's counters by its path; 0 if there is none.
func (st state) counter(path ...string) int {
	at := any(st.Engine)
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return 0
		}
		at = m[name]
	}
	n, ok := at.(float64)
	if !ok {
		return 0
	}
	return int(n)
}

// until looks until ok holds, for at most a time, and tells whether it does.
func (s *scene) until(most time.Duration, ok func() bool) bool {
	for end := time.Now().Add(most); !ok(); time.Sleep(settleStep / 10) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// await asks the server until its state satisfies ok, for at most settleMax, and
// returns the last state.
func (s *scene) await(ok func(state) bool) state {
	for until := time.Now().Add(settleMax); ; {
		st := s.state()
		if ok(st) || time.Now().After(until) || !s.server.alive() {
			return st
		}
		time.Sleep(settleStep / 2)
	}
}

// openDir makes the directory for tools' files.
func openDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "faults")
	return dir, func() { _ = os.RemoveAll(dir) }, err // what is left is in the system's directory for such
}
