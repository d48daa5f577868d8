package rpc_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/wait"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/rpc"
)

// Tests wait for events. The bound below only turns a hang into a failure.
const patience = 30 * time.Second

// setting is a way to run an engine.
type setting struct {
	name    string
	network string
	opts    []engine.Option
}

func settings() (all []setting) {
	for _, m := range []struct {
		name string
		opts []engine.Option
	}{
		{"pool", []engine.Option{engine.WithMode(engine.Pool), engine.WithLoops(2)}},
		{"inline", []engine.Option{engine.WithMode(engine.Inline), engine.WithLoops(2)}},
		{"single", []engine.Option{engine.WithMode(engine.Single)}},
	} {
		for _, network := range []string{"tcp4", "unix"} {
			all = append(all, setting{m.name + "/" + network, network, m.opts})
		}
	}
	return all
}

// launch starts an engine, which ends with the test.
func (s setting) launch(t testing.TB, more ...engine.Option) *engine.Engine {
	t.Helper()
	e, err := engine.New(append(append([]engine.Option{engine.WithDebugBuffers(), engine.WithLogger(engine.NoLog{})}, s.opts...), more...)...)
	must(t, err)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		until(t, "buffers given back", func() bool { return e.Stats().Memory.Buffers.InUse == 0 })
	})
	return e
}

// leaving runs a test, which must leave no goroutine behind.
func leaving(t *testing.T, name string, run func(t *testing.T)) {
	before := goleak.IgnoreCurrent()
	t.Run(name, run)
	if err := goleak.Find(before); err != nil {
		t.Errorf("%s: goroutines left: %v", name, err)
	}
}

// listen serves p and returns the address.
func (s setting) listen(t testing.TB, e *engine.Engine, p session.Handler) string {
	t.Helper()
	address := "127.0.0.1:0"
	if s.network == "unix" {
		dir, err := os.MkdirTemp("", "weir") // those of t.TempDir can be too long for a socket
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		address = filepath.Join(dir, "socket")
	}
	return s.listenAt(t, e, p, address)
}

func (s setting) listenAt(t testing.TB, e *engine.Engine, p session.Handler, address string) string {
	t.Helper()
	l, err := e.Listen(s.network, address, session.Framed(p, frame.Default()))
	must(t, err)
	return l.Addr().String()
}

func (s setting) dial(t testing.TB, e *engine.Engine, p session.Handler, address string) *session.Session {
	t.Helper()
	c, err := e.Dial(t.Context(), s.network, address, session.Framed(p, frame.Default()))
	must(t, err)
	return c
}

func newPeer(t testing.TB, opts ...rpc.Option) *rpc.Peer {
	t.Helper()
	p, err := rpc.New(opts...)
	must(t, err)
	return p
}

// opener tells of its sessions.
type opener struct {
	*rpc.Peer
	opened chan *session.Session
}

func (o opener) OnOpen(s *session.Session) {
	o.Peer.OnOpen(s)
	o.opened <- s
}

// number is a message with one.
func number(typ string, n int) *message.Message { return message.New(typ).Set("n", message.Int(n)) }

func numberOf(t testing.TB, m *message.Message) int {
	t.Helper()
	n, err := m.GetInt("n")
	if err != nil {
		t.Error(err)
	}
	return int(n)
}

// call is Call that must end.
func call(t testing.TB, p *rpc.Peer, to rpc.Sender, m *message.Message) (*message.Message, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return p.Call(ctx, to, m)
}

// await returns the next value from c.
func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: nothing came for %v", what, patience)
	}
	return v
}

// until waits for a condition that nobody announces, such as a counter.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	wait.Until(t, patience, what, holds)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
