//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"context"
	"slices"
	"sync"

	"github.com/panjf2000/gnet/v2"

	"github.com/weirnet/weir/benchmarks/internal/gnetaddr"
)

// gnet sends from other goroutines by AsyncWrite, per connection and message, which
// is how its documents broadcast. One can also run a function on an event loop: then
// one hand-over per loop is enough, and each connection is written to on its own
// loop, once for all that a read has brought. Both take part.

func startGnetHub(size int) (string, error) {
	h := &gnetHub{size: size, booted: make(chan gnetAddress, 1), all: map[gnet.Conn]struct{}{}}
	return runGnetHub(h, h.booted)
}

func startGnetBatchHub(size int) (string, error) {
	h := &gnetBatchHub{size: size, booted: make(chan gnetAddress, 1), loops: map[gnet.EventLoop]*gnetMembers{}}
	return runGnetHub(h, h.booted)
}

// runGnetHub serves with as many event loops as processors, all else as it comes.
// The engine lives as long as the process.
func runGnetHub(h gnet.EventHandler, booted chan gnetAddress) (string, error) {
	failed := make(chan error, 1)
	go func() {
		failed <- gnet.Run(h, "tcp4://127.0.0.1:0", gnet.WithMulticore(true), gnet.WithLogger(gnetLog{}))
	}()
	select {
	case a := <-booted:
		return a.address, a.err
	case err := <-failed:
		return "", err
	}
}

// gnetWhole takes the whole messages that have come, as a copy.
func gnetWhole(c gnet.Conn, size int) ([]byte, error) {
	n := c.InboundBuffered()
	if n < size {
		return nil, nil // Next(0) is everything
	}
	p, err := c.Next(n - n%size)
	return append([]byte(nil), p...), err
}

// gnetHub writes to each connection by AsyncWrite.
type gnetHub struct {
	gnet.BuiltinEventEngine
	size   int
	booted chan gnetAddress

	mu  sync.RWMutex
	all map[gnet.Conn]struct{}
}

// OnBoot tells the address.
func (h *gnetHub) OnBoot(e gnet.Engine) gnet.Action {
	address, err := gnetaddr.Of(e)
	h.booted <- gnetAddress{address, err}
	return gnet.None
}

// OnOpen joins.
func (h *gnetHub) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[c] = struct{}{}
	return nil, gnet.None
}

// OnClose leaves.
func (h *gnetHub) OnClose(c gnet.Conn, _ error) gnet.Action {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, c)
	return gnet.None
}

// OnTraffic sends what has come to all.
func (h *gnetHub) OnTraffic(c gnet.Conn) gnet.Action {
	messages, err := gnetWhole(c, h.size)
	if err != nil {
		return gnet.Close
	}
	if len(messages) == 0 {
		return gnet.None
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for message := range slices.Chunk(messages, h.size) {
		for c := range h.all {
			_ = c.AsyncWrite(message, nil) // a failed connection is closed by its loop
		}
	}
	return gnet.None
}

// gnetBatchHub hands messages to each loop once.
type gnetBatchHub struct {
	gnet.BuiltinEventEngine
	size   int
	booted chan gnetAddress

	mu    sync.RWMutex
	loops map[gnet.EventLoop]*gnetMembers
}

// gnetMembers are the connections of one loop, which owns them.
type gnetMembers struct {
	conns map[gnet.Conn]struct{}
}

// OnBoot tells the address.
func (h *gnetBatchHub) OnBoot(e gnet.Engine) gnet.Action {
	address, err := gnetaddr.Of(e)
	h.booted <- gnetAddress{address, err}
	return gnet.None
}

// OnOpen joins the members of the loop, on the loop.
func (h *gnetBatchHub) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	h.mu.Lock()
	m, ok := h.loops[c.EventLoop()]
	if !ok {
		m = &gnetMembers{conns: map[gnet.Conn]struct{}{}}
		h.loops[c.EventLoop()] = m
	}
	h.mu.Unlock()
	m.conns[c] = struct{}{}
	c.SetContext(m)
	return nil, gnet.None
}

// OnClose leaves, on the loop.
func (h *gnetBatchHub) OnClose(c gnet.Conn, _ error) gnet.Action {
	delete(c.Context().(*gnetMembers).conns, c)
	return gnet.None
}

// OnTraffic sends what has come to this loop's members, and has the others do so.
func (h *gnetBatchHub) OnTraffic(c gnet.Conn) gnet.Action {
	messages, err := gnetWhole(c, h.size)
	if err != nil {
		return gnet.Close
	}
	if len(messages) == 0 {
		return gnet.None
	}
	own := c.EventLoop()
	h.mu.RLock()
	for loop, m := range h.loops {
		if loop != own {
			err = loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
				m.write(messages)
				return nil
			}))
			if err != nil {
				break
			}
		}
	}
	h.mu.RUnlock()
	if err != nil {
		return gnet.Close
	}
	c.Context().(*gnetMembers).write(messages)
	return gnet.None
}

func (m *gnetMembers) write(messages []byte) {
	for c := range m.conns {
		_, _ = c.Write(messages) // a failed connection is closed by its loop
	}
}
