//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"io"
	"net"
	"slices"
	"sync"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"
)

// nbioHub writes to each connection from the poller that has read, as nbio's Write
// allows from any goroutine.
type nbioHub struct {
	size int // of a message
	unit int // of a write

	mu  sync.RWMutex
	all map[*nbio.Conn]struct{}
}

func startNbioHub(size int) (string, error)      { return newNbioHub(size, size) }
func startNbioBatchHub(size int) (string, error) { return newNbioHub(size, together) }

// newNbioHub serves with nbio, with a bound on what it keeps for a connection, all
// else as it comes. The engine lives as long as the process.
func newNbioHub(size, unit int) (string, error) {
	logging.Output = io.Discard // it tells each start on standard output, where reports go
	var address string
	e := nbio.NewEngine(nbio.Config{
		Network: "tcp4",
		Addrs:   []string{"127.0.0.1:0"},
		Listen: func(network, wanted string) (net.Listener, error) {
			l, err := net.Listen(network, wanted)
			if err == nil {
				address = l.Addr().String()
			}
			return l, err
		},
		MaxWriteBufferSize: hubBacklog,
	})
	h := &nbioHub{size: size, unit: unit, all: map[*nbio.Conn]struct{}{}}
	e.OnOpen(func(c *nbio.Conn) {
		c.SetSession(new([]byte))
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all[c] = struct{}{}
	})
	e.OnClose(func(c *nbio.Conn, _ error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.all, c)
	})
	e.OnData(h.onData)
	err := e.Start()
	return address, err
}

// onData sends whole messages to all; the rest waits in the connection's session.
// Failed is who could not be written to: closing calls OnClose, which needs the lock.
func (h *nbioHub) onData(c *nbio.Conn, p []byte) {
	part := c.Session().(*[]byte)
	if len(*part) > 0 {
		p = append(*part, p...)
	}
	whole := len(p) - len(p)%h.size
	var failed []*nbio.Conn
	h.mu.RLock()
	for unit := range slices.Chunk(p[:whole], h.unit) {
		for c := range h.all {
			if _, err := c.Write(unit); err != nil {
				failed = append(failed, c)
			}
		}
	}
	h.mu.RUnlock()
	*part = append([]byte(nil), p[whole:]...)
	for _, c := range failed {
		c.Close()
	}
}
