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
	growthMax = 32 << 20         // of the server's memory, in bytes
	slowMax   = 10 * time.Second // a slow consumer must be closed by then
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

// pumpReport is what a pump writes: when its connections are busy, and when it is
// asked, how many have been reset.
type pumpReport struct {
	PID   int    `json:"pid"`
	Reset int    `json:"reset"`
	Error string `json:"error,omitempty"`
}

const pumpConns = 10

// pump is the body of a process with connections that send as fast as they can and
// read slowly, so that data is under way everywhere.
func pump(args []string, in io.Reader, out io.Writer) int {
	lines := json.NewEncoder(out)
	if len(args) != 1 {
		_ = lines.Encode(pumpReport{Error: "want an address"})
		return 1
	}
	var resets atomic.Int64
	for range pumpConns {
		c, err := net.DialTimeout("tcp4", args[0], dialPatience)
		if err != nil {
			_ = lines.Encode(pumpReport{Error: err.Error()})
			return 1
		}
		go pumpOut(c, &resets)
		go pumpIn(c)
	}
	if err := lines.Encode(pumpReport{PID: syscall.Getpid()}); err != nil {
		return 1
	}
	var word string
	for {
		if _, err := fmt.Fscanln(in, &word); err != nil {
			return 0
		}
		if err := lines.Encode(pumpReport{Reset: int(resets.Load())}); err != nil {
			return 1
		}
	}
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

func pumpIn(c net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		if _, err := c.Read(buffer); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func stopsClient(s *scene) {
	p, err := s.child(nil, pumpRole, s.hello.Address)
	if err != nil {
		s.fail("%v", err)
		return
	}
	defer p.kill()
	var started pumpReport
	if err := p.read(&started, startWithin); err != nil || started.Error != "" {
		s.fail("the client: %v %s", err, started.Error)
		return
	}
	time.Sleep(500 * time.Millisecond) // buffers fill
	if err := syscall.Kill(started.PID, syscall.SIGSTOP); err != nil {
		s.fail("kill -STOP: %v", err)
		return
	}
	time.Sleep(settleStep)
	s.require(stopped(started.PID), "the client was not stopped")
	s.watchPeers(pumpConns)
	if err := syscall.Kill(started.PID, syscall.SIGCONT); err != nil {
		s.fail("kill -CONT: %v", err)
		return
	}
	time.Sleep(settleStep)
	var at pumpReport
	if err := p.ask("reset", &at); err != nil {
		s.fail("the client: %v", err)
	}
	s.see("%d of %d connections were reset when it went on", at.Reset, pumpConns)
}
