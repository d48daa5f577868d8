//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A host is who a swarm connects to: a process of its own, with package net, that can be
// stopped, killed and started again at the same address. It reads the messages, looks
// whether each client's are in order, and answers each line on its input with what it has
// seen so far.
type host struct {
	reset bool // connections are reset at once

	mu   sync.Mutex
	seen hostReport
	next map[uint32]uint32 // of each client: the number of its next message
}

// hostReport is what a host has seen.
type hostReport struct {
	PID      int    `json:"pid"`
	Accepted int    `json:"accepted"`
	First    int64  `json:"first"` // when the first connection was accepted; Unix time, nanoseconds
	Clients  int    `json:"clients"`
	Messages int64  `json:"messages"`
	Gaps     int    `json:"gaps"`   // messages that are not the next of their client
	Firsts   int64  `json:"firsts"` // sum of the first number of each client
	Error    string `json:"error,omitempty"`
}

const hostResets = "resets" // the argument of a host that does

// hostMain is the body of the process: args are an address, and hostResets.
func hostMain(args []string, in io.Reader, out io.Writer) int {
	lines := json.NewEncoder(out)
	if len(args) == 0 {
		_ = lines.Encode(hostReport{Error: "want an address"})
		return 1
	}
	l, err := net.Listen("tcp4", args[0])
	if err != nil {
		_ = lines.Encode(hostReport{Error: err.Error()})
		return 1
	}
	h := &host{reset: len(args) > 1 && args[1] == hostResets, next: map[uint32]uint32{}}
	go h.accept(l)
	if err := lines.Encode(hostReport{PID: syscall.Getpid()}); err != nil {
		return 1
	}
	for scanner := bufio.NewScanner(in); scanner.Scan(); {
		if err := lines.Encode(h.report()); err != nil {
			return 1
		}
	}
	return 0
}

func (h *host) report() hostReport {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.seen
	r.PID, r.Clients = syscall.Getpid(), len(h.next)
	return r
}

func (h *host) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			time.Sleep(time.Millisecond) // of a connection that has gone
			continue
		}
		h.mu.Lock()
		if h.seen.Accepted++; h.seen.Accepted == 1 {
			h.seen.First = time.Now().UnixNano()
		}
		h.mu.Unlock()
		if h.reset {
			reset(c.(*net.TCPConn))
			continue
		}
		go h.read(c)
	}
}

func (h *host) read(c net.Conn) {
	defer c.Close()
	message := make([]byte, swarmMessage)
	for {
		if _, err := io.ReadFull(c, message); err != nil {
			return
		}
		h.note(binary.BigEndian.Uint32(message[4:]), binary.BigEndian.Uint32(message[8:]))
	}
}

// note counts a message of a client.
func (h *host) note(who, number uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen.Messages++
	next, known := h.next[who]
	switch {
	case !known:
		h.seen.Firsts += int64(number)
	case next != number:
		h.seen.Gaps++
	}
	h.next[who] = number + 1
}

// startHost starts one at an address; nil, and a failure is noted, if it does not.
func (s *scene) startHost(address string, args ...string) (c *child, pid int) {
	c, err := s.child(nil, append([]string{hostRole, address}, args...)...)
	if err != nil {
		s.fail("host: %v", err)
		return nil, 0
	}
	var started hostReport
	if err := c.read(&started, startWithin); err != nil || started.Error != "" {
		s.fail("host: %v %s", err, started.Error)
		return nil, 0
	}
	return c, started.PID
}

// hostAddress is one that stays free while no host is there: the kernel takes the ports
// of clients from above 32767.
func hostAddress() string {
	for port := 10_000 + time.Now().Nanosecond()/1000%20_000; ; port++ {
		address := fmt.Sprint("127.0.0.1:", port)
		if l, err := net.Listen("tcp4", address); err == nil {
			l.Close()
			return address
		}
	}
}
