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

const (
	visitMessages = 10       // that a visitor sends
	hastySize     = 64 << 10 // of those of one that is hasty, bytes: some are still queued when it leaves
)

// visitsState is what became of visitors.
type visitsState struct {
	Connected int    `json:"connected"`
	Unsent    int    `json:"unsent"`          // messages of those that were hasty
	Error     string `json:"error,omitempty"` // of one of them
}

// visit makes n clients, each of which connects and sends some messages. One half waits
// until all are back, and leaves; the other half is hasty, and aborts.
func (c *crowd) visit(n int, address string) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var st visitsState
	for i := range n {
		all.Go(func() {
			v := &visitor{
				told: make(chan error, visitMessages), echoed: make(chan struct{}), ended: make(chan *engine.DisconnectError, 1),
			}
			err := v.run(c.engine, address, i%2 == 1)
			mu.Lock()
			defer mu.Unlock()
			if v.connected {
				st.Connected++
			}
			st.Unsent += v.unsent
			if err != nil {
				st.Error = fmt.Sprintf("visitor %d: %v", i, err)
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
	told   chan error                   // gets what completions do
	echoed chan struct{}                // closed when all is back
	ended  chan *engine.DisconnectError // gets what OnDisconnect does

	connected bool
	unsent    int // messages, by OnDisconnect

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

func (v *visitor) disconnected(_ *engine.Client, err error) {
	why, _ := err.(*engine.DisconnectError)
	v.ended <- why
}

// run is the visit.
func (v *visitor) run(e *engine.Engine, address string, hasty bool) error {
	client, err := e.NewClient("tcp4", address, session.Framed(v, frame.Default()), engine.OnDisconnect(v.disconnected))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	if err := client.Connect(ctx); err != nil {
		return err
	}
	v.connected = true
	s, size := client.Session(), memberSize
	if hasty {
		size = hastySize
		if err := narrow(s); err != nil {
			return err
		}
	}
	for i := range uint64(visitMessages) {
		if err := client.SendNotify(numbered(i, size), func(err error) { v.told <- err }); err != nil {
			return err
		}
	}
	if !hasty {
		select {
		case <-v.echoed:
		case <-ctx.Done():
			return fmt.Errorf("an echo is missing: %w", ctx.Err())
		}
		if v.err != nil {
			return v.err
		}
	}
	if err := client.Close(); err != nil {
		return err
	}
	if hasty {
		_ = s.Abort() // it fails if the session has ended by itself
	}
	select {
	case <-client.Done():
	case <-ctx.Done():
		return fmt.Errorf("does not end: %w", ctx.Err())
	}
	return v.farewell(hasty)
}

// farewell looks at what was told of the messages: by their completions and by
// OnDisconnect the same. Both have been called when the client has ended.
func (v *visitor) farewell(hasty bool) error {
	failed := 0
	for i := range visitMessages {
		select {
		case err := <-v.told:
			if err != nil {
				failed++
			}
		default:
			return fmt.Errorf("%d completions of %d were called", i, visitMessages)
		}
	}
	why := <-v.ended
	switch {
	case why == nil:
		return fmt.Errorf("OnDisconnect got another error")
	case why.Messages != failed || why.Notified != failed || !hasty && failed != 0:
		return fmt.Errorf("%d completions failed, but OnDisconnect tells of %d and %d messages: %w", failed, why.Notified, why.Messages, why)
	}
	v.unsent = why.Messages
	return nil
}
