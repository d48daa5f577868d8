//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"context"
	"log"
	"runtime"
	"slices"
	"sync"

	"github.com/cloudwego/netpoll"
	"github.com/cloudwego/netpoll/mux"
)

// netpollHub has a mux.ShardQueue per connection, netpoll's own means to write from
// many goroutines: what gathers goes out in one flush, on a goroutine that lives as
// long as there is something. One shard, because several would change the order.
type netpollHub struct {
	size int // of a message
	unit int // that is queued

	mu  sync.RWMutex
	all map[netpoll.Connection]*mux.ShardQueue
}

func startNetpollHub(size int) (string, error)      { return newNetpollHub(size, size) }
func startNetpollBatchHub(size int) (string, error) { return newNetpollHub(size, together) }

// newNetpollHub serves with netpoll, as it comes but for a poller per processor, until the
// process ends.
func newNetpollHub(size, unit int) (string, error) {
	if err := netpoll.Configure(netpoll.Config{PollerNum: runtime.GOMAXPROCS(0)}); err != nil {
		return "", err
	}
	l, err := netpoll.CreateListener("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	h := &netpollHub{size: size, unit: unit, all: map[netpoll.Connection]*mux.ShardQueue{}}
	loop, err := netpoll.NewEventLoop(h.onRequest, netpoll.WithOnPrepare(h.join))
	if err != nil {
		return "", err
	}
	go func() { log.Fatal("netpoll: ", loop.Serve(l)) }()
	return l.Addr().String(), nil
}

func (h *netpollHub) join(c netpoll.Connection) context.Context {
	h.mu.Lock()
	h.all[c] = mux.NewShardQueue(1, c)
	h.mu.Unlock()
	err := c.AddCloseCallback(func(netpoll.Connection) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.all, c)
		return nil
	})
	if err != nil {
		log.Print("netpoll: close callback: ", err)
	}
	return context.Background()
}

// onRequest sends to all what has come whole, and waits for a message that has not.
func (h *netpollHub) onRequest(_ context.Context, c netpoll.Connection) error {
	n := c.Reader().Len()
	messages, err := c.Reader().ReadBinary(max(n-n%h.size, h.size))
	if err != nil {
		return err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for unit := range slices.Chunk(messages, h.unit) {
		for _, queue := range h.all {
			queue.Add(func() (netpoll.Writer, bool) { return netpollBuffer(unit), false })
		}
	}
	return nil
}

// netpollBuffer holds p, without a copy.
func netpollBuffer(p []byte) netpoll.Writer {
	b := netpoll.NewLinkBuffer()
	_ = b.WriteDirect(p, 0) // it fails only where something has been reserved before
	_ = b.Flush()
	return b
}
