//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// visitMessages is how many messages a visitor sends.
const visitMessages = 10

// visitsState is what became of visitors.
type visitsState struct {
	Connected int    `json:"connected"`
	Error     string `json:"error,omitempty"` // of one of them
}

// visit makes n clients, each of which connects, sends some messages, waits until all
// are back, and is closed.
func (c *crowd) visit(n int, address string) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var st visitsState
	for range n {
		all.Go(func() {
			v := &visitor{echoed: make(chan struct{}), ended: make(chan error, 1)}
			connected, err := v.run(c.engine, address)
			mu.Lock()
			defer mu.Unlock()
			if connected {
				st.Connected++
			}
			if err != nil {
				st.Error = err.Error()
			}
		})
	}
	all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Visits = st
}

// visitor is a client that comes for a while.
type visitor struct {
	echoed chan struct{} // closed when all is back
	ended  chan error    // gets what OnDisconnect does

	got uint64 // of the session's handlers
	err error  // theirs, until echoed is closed
}

func (v *visitor) OnMessage(_ *session.Session, f session.Frame) {
	number, err := numberOf(f.Bytes())
	if err == nil && number != v.got {
		err = fmt.Errorf("got message %d, want %d", number, v.got)
	}
	if err != nil && v.err == nil {
		v.err = err
	}
	if v.got++; v.got == visitMessages {
		close(v.echoed)
	}
}

// run is the visit; it also tells whether the client got as far as a connection.
func (v *visitor) run(e *engine.Engine, address string) (connected bool, err error) {
	client, err := e.NewClient("tcp4", address, session.Framed(v, frame.Default()),
		engine.OnDisconnect(func(_ *engine.Client, why error) { v.ended <- why }))
	if err != nil {
		return false, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	if err := client.Connect(ctx); err != nil {
		return false, err
	}
	told := make(chan error, visitMessages)
	for i := range uint64(visitMessages) {
		if err := client.SendNotify(numbered(i, memberSize), func(err error) { told <- err }); err != nil {
			return true, err
		}
	}
	for range visitMessages {
		select {
		case err := <-told:
			if err != nil {
				return true, err
			}
		case <-ctx.Done():
			return true, fmt.Errorf("visitor: a completion is missing: %w", ctx.Err())
		}
	}
	select {
	case <-v.echoed:
	case <-ctx.Done():
		return true, fmt.Errorf("visitor: an echo is missing: %w", ctx.Err())
	}
	if v.err != nil {
		return true, v.err
	}
	if err := client.Close(); err != nil {
		return true, err
	}
	select {
	case <-client.Done():
	case <-ctx.Done():
		return true, fmt.Errorf("visitor: does not end: %w", ctx.Err())
	}
	return true, v.farewell(<-v.ended)
}

// farewell looks at what OnDisconnect was told: that nothing is missing.
func (v *visitor) farewell(why error) error {
	d, ok := why.(*engine.DisconnectError)
	if !ok || d.Messages != 0 || d.Bytes != 0 {
		return fmt.Errorf("visitor: after all had come back: %v", why)
	}
	return nil
}
