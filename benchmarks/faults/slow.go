//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Rows 11 and 12: clients that do not take what they asked for.

const (
	growthMax     = 32 << 20         // of the server's memory, in bytes
	idleGrowthMax = 4 << 20          // the same, where nothing is under way
	slowMax       = 10 * time.Second // a slow consumer must be closed by then
)

func neverReads(s *scene) {
	total := pick(s.options, 256<<20, 64<<20)
	c, err := dialEcho(s.hello.Address)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(slowMax + settleMax))
	}
	if err != nil {
		s.fail("%v", err)
		return
	}
	defer reset(c)
	var taken atomic.Int64
	go func() {
		piece := letters(1, 64<<10)
		for taken.Load() < int64(total) {
			if _, err := c.Write(piece); err != nil {
				return // it was closed, here or there
			}
			taken.Add(int64(len(piece)))
		}
	}()
	s.watchPeers(1)
	s.see("%d of %d MiB taken", taken.Load()>>20, total>>20)
	s.require(taken.Load() < int64(total), "all %d MiB were taken", total>>20)
}

// watchPeers follows the server's memory until it has let go of n slow peers.
func (s *scene) watchPeers(n int) {
	most := s.base.Resident
	began := time.Now()
	closed := false
	for !closed && time.Since(began) < slowMax {
		time.Sleep(20 * time.Millisecond)
		most = max(most, residentOf(s.hello.PID))
		closed = descriptorsOf(s.hello.PID) <= s.base.Descriptors
	}
	grown := max(most-s.base.Resident, 0)
	s.see("memory grew by %d MiB", grown>>20)
	s.require(grown <= growthMax, "memory grew by %d MiB", grown>>20)
	s.require(closed, "not closed within %v", slowMax)
	if closed {
		s.see("closed after %v", round(time.Since(began)))
	}
	if s.kind.weir {
		counted := s.await(func(st state) bool { return st.counter("Closed", "slow_consumer") >= n }).
			counter("Closed", "slow_consumer")
		s.see("%d counted as slow_consumer", counted)
		s.require(counted == n, "%d of %d counted as slow_consumer", counted, n)
	}
}

// pumpReport is what a pump writes: when its connections are busy, or idle, and when
// it is asked, how many have been reset, or echo.
type pumpReport struct {
	PID   int    `json:"pid"`
	Reset int    `json:"reset"`
	Echo  int    `json:"echo"`
	Error string `json:"error,omitempty"`
}

const (
	pumpConns = 10
	pumpIdle  = "idle"    // the argument of a pump that has nothing to say
	pumpBusy  = 256 << 10 // bytes that each connection of a busy pump has got when it says so
)

// pump is the body of a process with connections that send as fast as they can and
// read slowly, so that data is under way everywhere; or of one whose connections are
// idle. Args are an address, and pumpIdle.
func pump(args []string, in io.Reader, out io.Writer) int {
	lines := json.NewEncoder(out)
	report, err := startPump(args)
	if err != nil {
		_ = lines.Encode(pumpReport{Error: err.Error()})
		return 1
	}
	if err := lines.Encode(pumpReport{PID: syscall.Getpid()}); err != nil {
		return 1
	}
	var word string
	for {
		if _, err := fmt.Fscanln(in, &word); err != nil {
			return 0
		}
		if err := lines.Encode(report()); err != nil {
			return 1
		}
	}
}

// startPump returns, once the connections are as they should be, what reports on them.
func startPump(args []string) (report func() pumpReport, err error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("%s: want an address", pumpRole)
	}
	idle := len(args) > 1 && args[1] == pumpIdle
	var conns []net.Conn
	for range pumpConns {
		c, err := net.DialTimeout("tcp4", args[0], dialPatience)
		if err == nil && idle {
			err = echo(c, "hello")
		}
		if err != nil {
			return nil, err
		}
		conns = append(conns, c)
	}
	if idle {
		return func() (r pumpReport) {
			for _, c := range conns {
				if c.SetDeadline(time.Now().Add(dialPatience)) == nil && echo(c, "still there?") == nil {
					r.Echo++
				}
			}
			return r
		}, nil
	}
	var resets atomic.Int64
	busy := make(chan struct{}, pumpConns)
	for _, c := range conns {
		go pumpOut(c, &resets)
		go pumpIn(c, busy)
	}
	for range conns {
		<-busy
	}
	return func() pumpReport { return pumpReport{Reset: int(resets.Load())} }, nil
}

func pumpOut(c net.Conn, resets *atomic.Int64) {
	piece := letters(1, 64<<10)
	for {
		if _, err := c.Write(piece); err != nil {
			resets.Add(1)
			return
		}
	}
}

func pumpIn(c net.Conn, busy chan<- struct{}) {
	buffer := make([]byte, 16<<10)
	for got, told := 0, false; ; {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		if got += n; got >= pumpBusy && !told {
			busy <- struct{}{}
			told = true
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// stopPump starts a pump and stops it with SIGSTOP. Its connections are opened when it
// does.
func (s *scene) stopPump(args ...string) (p *child, pid int, ok bool) {
	p, err := s.child(nil, append([]string{pumpRole, s.hello.Address}, args...)...)
	if err != nil {
		s.fail("%v", err)
		return nil, 0, false
	}
	var started pumpReport
	if err := p.read(&started, startWithin); err != nil || started.Error != "" {
		s.fail("the client: %v %s", err, started.Error)
		return p, 0, false
	}
	if err := syscall.Kill(started.PID, syscall.SIGSTOP); err != nil {
		s.fail("kill -STOP: %v", err)
		return p, 0, false
	}
	ok = s.until(settleMax, func() bool { return stopped(started.PID) })
	s.require(ok, "the client was not stopped")
	return p, started.PID, ok
}

// resume lets the pump go on.
func (s *scene) resume(pid int) bool {
	err := syscall.Kill(pid, syscall.SIGCONT)
	s.require(err == nil, "kill -CONT: %v", err)
	return err == nil
}

func stopsClient(s *scene) {
	p, pid, ok := s.stopPump()
	if !ok {
		return
	}
	defer p.kill()
	s.watchPeers(pumpConns)
	if !s.resume(pid) {
		return
	}
	var at pumpReport
	s.until(settleMax, func() bool { return p.ask("reset", &at) != nil || at.Reset == pumpConns })
	s.see("%d of %d connections were reset when it went on", at.Reset, pumpConns)
}

// stopsIdleClient stops a client that has nothing under way. Its kernel answers for it,
// so nobody can tell: there is only to see what such a client costs.
func stopsIdleClient(s *scene) {
	p, pid, ok := s.stopPump(pumpIdle)
	if !ok {
		return
	}
	defer p.kill()
	open, before := s.state(), s.uses()
	time.Sleep(pick(s.options, 3*time.Second, time.Second))
	st, after := s.state(), s.uses()
	grown := max(after.Resident-before.Resident, 0)
	s.see("%d of %d connections are still open and use %d descriptors, memory grew by %d KiB meanwhile, goroutines %d → %d",
		st.Opened-st.Closed-int64(s.fault.healthy), pumpConns, after.Descriptors-s.base.Descriptors, grown>>10, before.Goroutines, after.Goroutines)
	s.require(st.Closed == open.Closed, "%d connections were closed", st.Closed-open.Closed)
	s.require(grown <= idleGrowthMax, "memory grew by %d KiB", grown>>10)
	s.require(after.Descriptors <= s.base.Descriptors+pumpConns, "%d descriptors are used", after.Descriptors-s.base.Descriptors)
	s.require(after.Goroutines <= before.Goroutines+goroutinesSlack, "goroutines %d → %d", before.Goroutines, after.Goroutines)
	if !s.resume(pid) {
		return
	}
	var at pumpReport
	if err := p.ask("echo", &at); err != nil {
		s.fail("the client: %v", err)
	}
	s.see("%d echo when it goes on; without a heartbeat nobody was told", at.Echo)
	s.require(at.Echo == pumpConns, "%d of %d connections echo when it goes on", at.Echo, pumpConns)
}
