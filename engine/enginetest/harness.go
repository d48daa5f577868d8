package enginetest

import (
	"net"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// Harness is an engine over a network in memory, with one listener.
type Harness struct {
	t       testing.TB
	engine  *engine.Engine
	network *network
	addr    net.Addr
}

// New starts an engine that serves h. It has the given options, and checks its
// buffers (engine.WithDebugBuffers). Time is real.
//
// When the test ends, the engine is closed; a descriptor or a buffer that is
// then still in use, and not just by a call that returns soon, fails the test.
func New(t testing.TB, h session.Handler, opts ...engine.Option) *Harness {
	t.Helper()
	return newHarness(t, openGate{}, h, opts)
}

// newHarness is New with a gate.
func newHarness(t testing.TB, g gate, h session.Handler, opts []engine.Option) *Harness {
	t.Helper()
	w := newNetwork(g)
	deps := inject.Deps{Sockets: w, NewPoller: func() (poller.Poller, error) { return newPoller(w, 0), nil }}
	e, err := engine.New(append(opts[:len(opts):len(opts)], engine.WithDebugBuffers(), engine.WithDeps(deps))...)
	if err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	harness := &Harness{t: t, engine: e, network: w}
	t.Cleanup(harness.close)
	l, err := e.Listen("tcp", "127.0.0.1:0", h)
	if err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	harness.addr = l.Addr()
	return harness
}

// Engine returns the engine. The test may end it itself.
func (h *Harness) Engine() *engine.Engine { return h.engine }

// Dial connects to the engine and returns the client's end, for blocking use
// with or without deadlines. It is closed with the test. Each direction holds
// 64 KiB. Dial does not wait for OnOpen. Any goroutine may call it; it stops the
// test if the engine no longer listens, and so on other goroutines than the
// test's may not be called then.
func (h *Harness) Dial() net.Conn {
	h.t.Helper()
	s, err := h.network.connect(h.addr, 0, 0)
	if err != nil {
		h.t.Fatalf("enginetest: %v", err)
	}
	c := newClient(s)
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// patience is how long calls that were under way when the engine ended may take to return.
const patience = 10 * time.Second

// close ends the engine and looks for what it left behind. What a goroutine of the test's
// sends at that moment it keeps until its call returns, with the descriptor, and the engine
// does not wait for that. So a leak is what stays.
func (h *Harness) close() {
	if err := h.engine.Close(); err != nil {
		h.t.Errorf("enginetest: close: %v", err)
	}
	var descriptors int
	var bytes int64
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		descriptors, bytes = h.network.open(), h.engine.Stats().Memory.Buffers.InUse
		if descriptors == 0 && bytes == 0 || time.Now().After(deadline) {
			break
		}
	}
	if descriptors != 0 {
		h.t.Errorf("enginetest: %d descriptors are still open", descriptors)
	}
	if bytes != 0 {
		h.t.Errorf("enginetest: %d bytes of buffers are still in use: a Frame was retained and not released?", bytes)
	}
}
