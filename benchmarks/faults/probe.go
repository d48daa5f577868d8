//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Healthy clients: each sends a numbered message every probeInterval and wants it
// back. They know nothing of the fault.
const (
	probeInterval = 10 * time.Millisecond
	probePatience = 15 * time.Second // for one answer
	probeSize     = 64               // of a message, in bytes
)

// probeReport is what a probe writes: when it is connected, and for each line on
// its input, what was measured since the line before.
type probeReport struct {
	Connected int     `json:"connected"`
	Latency   latency `json:"latency"`
	Broken    int     `json:"broken"` // clients that lost their connection or got a wrong answer
	Error     string  `json:"error,omitempty"`
}

// probeMain is the body of the probe's process: args are address and number of
// clients.
func probeMain(args []string, in io.Reader, out io.Writer) int {
	lines := json.NewEncoder(out)
	p, err := startProbe(args)
	if err != nil {
		_ = lines.Encode(probeReport{Error: err.Error()})
		return 1
	}
	if err := lines.Encode(probeReport{Connected: len(p.clients)}); err != nil {
		return 1
	}
	for commands := bufio.NewScanner(in); commands.Scan(); {
		if err := lines.Encode(p.mark()); err != nil {
			return 1
		}
	}
	return 0
}

type probe struct{ clients []*client }

func startProbe(args []string) (*probe, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%s: want address and number", probeRole)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return nil, err
	}
	p := &probe{}
	for i := range n {
		c, err := dialEcho(args[0])
		if err != nil {
			return nil, fmt.Errorf("healthy client %d: %w", i+1, err)
		}
		p.clients = append(p.clients, &client{conn: c, number: i})
	}
	for i, c := range p.clients {
		go c.run(time.Duration(i) * probeInterval / time.Duration(n))
	}
	return p, nil
}

// mark sums up and begins anew. A message that is under way counts as long as it
// has taken so far.
func (p *probe) mark() probeReport {
	r := probeReport{Connected: len(p.clients)}
	var all []time.Duration
	for _, c := range p.clients {
		c.mu.Lock()
		all = append(all, c.samples...)
		c.samples = nil
		if !c.since.IsZero() {
			if now := time.Now(); now.Sub(c.since) > probeInterval {
				all = due(all, c.since, now, probeInterval)
			}
		}
		if c.err != nil {
			r.Broken++
			r.Error = c.err.Error()
		}
		c.mu.Unlock()
	}
	r.Latency = sum(all)
	return r
}

// client is a healthy one.
type client struct {
	conn   net.Conn
	number int

	mu      sync.Mutex
	since   time.Time // when the message that is under way was sent; zero if none is
	samples []time.Duration
	err     error
}

func (c *client) run(delay time.Duration) {
	defer c.conn.Close()
	next := time.Now().Add(delay)
	for round := 0; ; round++ {
		time.Sleep(time.Until(next))
		if err := c.trip(round); err != nil {
			c.mu.Lock()
			c.err, c.since = err, time.Time{}
			c.mu.Unlock()
			return
		}
		for next = next.Add(probeInterval); next.Before(time.Now()); next = next.Add(probeInterval) {
		}
	}
}

// trip sends one message and waits for it.
func (c *client) trip(round int) error {
	var sent, got [probeSize]byte
	copy(sent[:], fmt.Sprintf("%063d\n", c.number<<32|round))
	began := time.Now()
	c.mu.Lock()
	c.since = began
	c.mu.Unlock()
	if err := c.conn.SetDeadline(began.Add(probePatience)); err != nil {
		return err
	}
	if _, err := c.conn.Write(sent[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.conn, got[:]); err != nil {
		return err
	}
	if got != sent {
		return errors.New("got another message than was sent")
	}
	c.mu.Lock()
	c.since = time.Time{}
	c.samples = due(c.samples, began, time.Now(), probeInterval)
	c.mu.Unlock()
	return nil
}
