//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// mortal is the server that is killed and shut down while its clients send, and started
// again at the same address. They lose nothing that they are not told of. Its methods
// belong to one goroutine.
type mortal struct {
	settings
	address string
	crowd   *child

	server *child // nil: there is none
	ends   int64  // of servers so far, at each of which every client was connected
	had    int64  // echoes that the clients had got when the present server began
}

// mortalKinds are what it may be, drawn anew each time.
var mortalKinds = []string{poolServer, inlineServer}

// newMortal finds an address. Its port is not one that the kernel gives to connections:
// a client that dials its own port while nobody listens there would connect to itself.
func newMortal(s settings) (*mortal, error) {
	for port := 10_000 + time.Now().Nanosecond()/1000%20_000; port < 32_000; port++ {
		address := fmt.Sprint("127.0.0.1:", port)
		if l, err := net.Listen("tcp4", address); err == nil {
			return &mortal{settings: s, address: address}, l.Close()
		}
	}
	return nil, errors.New("no free port below 32000")
}

// begin starts a server, and waits until all clients are connected.
func (m *mortal) begin(ctx context.Context, kind string, spread time.Duration) error {
	var err error
	if m.server, _, err = greetedChild(kind, serveRole, kind, "-address="+m.address, "-spread="+spread.String()); err != nil {
		return err
	}
	return m.connected(ctx, m.members())
}

// connected waits until n clients are.
func (m *mortal) connected(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var st state
	var err error
	waited := await(ctx, func() bool {
		err = m.crowd.ask(&st, "state")
		return err != nil || st.Clients.Connected == n
	})
	if err == nil && waited != nil {
		err = fmt.Errorf("%d clients are connected, want %d: %w", st.Clients.Connected, n, waited)
	}
	return err
}

// gone waits until all clients have noticed, and returns what they say.
func (m *mortal) gone(ctx context.Context) (clientsState, error) {
	m.ends++
	if err := m.connected(ctx, 0); err != nil {
		return clientsState{}, err
	}
	var st state
	if err := m.crowd.ask(&st, "state"); err != nil {
		return st.Clients, err
	}
	if want := m.ends * int64(m.members()); st.Clients.Disconnects != want {
		return st.Clients, fmt.Errorf("clients lost %d sessions, want %d", st.Clients.Disconnects, want)
	}
	return st.Clients, nil
}

// stop ends the server, if there is one.
func (m *mortal) stop() {
	if m.server != nil {
		m.server.stop()
	}
}

// mortalAct is something that ends the server.
type mortalAct interface {
	play(ctx context.Context, m *mortal) error
}

// After is what comes behind an end: how long nobody is there, and who comes then.
type After struct {
	Down   time.Duration
	Kind   string
	Spread time.Duration // of its own shutdown
}

func drawAfter(d dice) After {
	return After{
		time.Duration(d.between(0, 1000)) * time.Millisecond, mortalKinds[d.IntN(len(mortalKinds))],
		time.Duration(d.IntN(2)*d.between(100, 500)) * time.Millisecond,
	}
}

func (a After) come(ctx context.Context, m *mortal) error {
	if err := wait(ctx, a.Down); err != nil {
		return nil
	}
	return orDone(ctx, m.begin(ctx, a.Kind, a.Spread))
}

// wait waits; the error is ctx's.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// restart: the server is killed, and there is another one a while later.
type restart struct {
	Up      time.Duration // before
	Stopped time.Duration // then: what it has been sent by its end it has not even read
	After
}

func drawRestart(d dice) mortalAct {
	return restart{drawUp(d), time.Duration(d.between(0, 300)) * time.Millisecond, drawAfter(d)}
}

func drawUp(d dice) time.Duration { return time.Duration(d.between(100, 1500)) * time.Millisecond }

func (a restart) play(ctx context.Context, m *mortal) error {
	if wait(ctx, a.Up) != nil {
		return nil
	}
	m.server.signal(syscall.SIGSTOP)
	_ = wait(ctx, a.Stopped) // or as long as there is time
	m.server.signal(syscall.SIGKILL)
	if !m.server.awaitEnd(stopWithin) {
		return fmt.Errorf("the process is there %v after it was killed", stopWithin)
	}
	st, err := m.gone(ctx)
	if err != nil {
		return orDone(ctx, err)
	}
	m.had = st.Echoed
	return a.come(ctx, m)
}

// shutdown: the server is told to end by SIGTERM, answers whatever it has read, and ends;
// there is another one a while later.
type shutdown struct {
	Up time.Duration // before
	After
}

func drawShutdown(d dice) mortalAct { return shutdown{drawUp(d), drawAfter(d)} }

func (a shutdown) play(ctx context.Context, m *mortal) error {
	if wait(ctx, a.Up) != nil {
		return nil
	}
	m.server.signal(syscall.SIGTERM)
	var last state
	if err := m.server.read(&last, patience); err != nil {
		return err
	}
	if !m.server.awaitEnd(stopWithin) {
		return fmt.Errorf("the process is there %v after its shutdown", stopWithin)
	}
	st, err := m.gone(ctx)
	if err != nil {
		return orDone(ctx, err)
	}
	echoed := (st.Echoed - m.had) * (headBytes + memberSize)
	m.had = st.Echoed
	h, e := last.Handler, last.Engine
	switch {
	case last.Shutdown != "ok":
		return fmt.Errorf("shutdown: %s", last.Shutdown)
	case e.Sessions != 0 || e.Queued != 0 || h.Opened != h.Closed || h.ClosedAgain != 0:
		return fmt.Errorf("after the shutdown there are %d sessions and %d bytes queued; %d opened, %d closed, %d twice",
			e.Sessions, e.Queued, h.Opened, h.Closed, h.ClosedAgain)
	case h.Handled != echoed+h.Unsent+h.Late:
		return fmt.Errorf("of %d bytes handled, %d came back, %d were reported unsent, %d refused", h.Handled, echoed, h.Unsent, h.Late)
	case int64(e.BytesIn) != h.Handled+h.Unhandled:
		return fmt.Errorf("of %d bytes read, %d were handled, and %d reported unhandled", e.BytesIn, h.Handled, h.Unhandled)
	}
	return a.come(ctx, m)
}
