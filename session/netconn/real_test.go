package netconn_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/wait"
	"github.com/weirnet/weir/session/netconn"
)

// Tests wait for events. The bound below only turns a hang into a failure.
const patience = 30 * time.Second

// modes are the ways to run an engine that make a difference here.
var modes = []struct {
	name string
	opts []engine.Option
}{
	{"pool", []engine.Option{engine.WithMode(engine.Pool), engine.WithLoops(2)}},
	{"inline", []engine.Option{engine.WithMode(engine.Inline), engine.WithLoops(2)}},
	{"single", []engine.Option{engine.WithMode(engine.Single)}},
}

// everyMode runs a test once for each of them.
func everyMode(t *testing.T, test func(t *testing.T, opts []engine.Option)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) { test(t, m.opts) })
	}
}

// launch starts an engine, which is closed at the end of the test and must leave nothing:
// no buffer, no descriptor.
func launch(t testing.TB, opts ...engine.Option) *engine.Engine {
	t.Helper()
	files := openFiles()
	e, err := engine.New(append([]engine.Option{engine.WithDebugBuffers(), engine.WithLogger(engine.NoLog{})}, opts...)...)
	must(t, err)
	t.Cleanup(func() {
		must(t, e.Close())
		until(t, "buffers given back, nothing queued", func() bool {
			st := e.Stats()
			return st.Memory.Buffers.InUse == 0 && st.Memory.Buffers.Segments == 0 && st.Queued == 0
		})
		until(t, "descriptors closed", func() bool { return openFiles() <= files })
	})
	return e
}

// listen listens with e until the end of the test.
func listen(t testing.TB, e *engine.Engine, network string, opts ...netconn.Option) *netconn.Listener {
	t.Helper()
	l, err := netconn.Listen(e, network, freeAddress(t, network), opts...)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// freeAddress lets the kernel choose a port, or names a new socket file.
func freeAddress(t testing.TB, network string) string {
	if network != "unix" {
		return "127.0.0.1:0"
	}
	dir, err := os.MkdirTemp("", "weir") // its name is short, as that of a socket must be
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "socket")
}

// stream is what *net.TCPConn, *net.UnixConn and *netconn.Conn have in common.
type stream interface {
	net.Conn
	CloseWrite() error
}

// pair connects to l with package net and returns both ends; they are closed at the end of
// the test.
func pair(t testing.TB, l *netconn.Listener) (ours *netconn.Conn, theirs stream) {
	t.Helper()
	theirs = dialPlain(t, l)
	accepted, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { accepted.Close() })
	must(t, accepted.SetDeadline(time.Now().Add(2*patience)))
	return accepted.(*netconn.Conn), theirs
}

// openFiles is how many descriptors this process has open, 0 where nobody tells.
func openFiles() int {
	dir := "/proc/self/fd"
	if runtime.GOOS != "linux" {
		dir = "/dev/fd"
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return len(names)
}

// until waits for a condition that nobody announces.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	wait.Until(t, patience, what, holds)
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

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dialPlain connects to l with package net, until the end of the test.
func dialPlain(t testing.TB, l *netconn.Listener) stream {
	t.Helper()
	return dialAddress(t, l.Addr())
}

func dialAddress(t testing.TB, a net.Addr) stream {
	t.Helper()
	c, err := net.DialTimeout(a.Network(), a.String(), patience)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(2*patience)))
	return c.(stream)
}

// dialWith is a Dial function as package net/http wants it.
func dialWith(e *engine.Engine) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return netconn.Dial(ctx, e, network, address)
	}
}

// noise is n bytes that do not repeat themselves, the same ones each time.
func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p) // never fails
	return p
}

// wantError fails the test if err is not want, in errors.Is' sense.
func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s returned %v, want %v", what, err, want)
	}
}
