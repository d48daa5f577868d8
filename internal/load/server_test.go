package load_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/wait"
)

// Tests wait for events. The bound below only turns a hang into a failure.
const patience = 20 * time.Second

// until waits for a condition that nobody announces, such as a counter.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	wait.Until(t, patience, what, holds)
}

// measured runs a load that lasts for length, and anew for ever longer while it has
// counted nothing: on a busy machine nothing may come back in some milliseconds.
func measured[R any](t *testing.T, length *time.Duration, run func() (R, error), counted func(R) int64) R {
	t.Helper()
	for {
		r, err := run()
		if err != nil {
			t.Fatal(err)
		}
		if counted(r) > 0 || *length >= patience {
			return r
		}
		*length *= 8
	}
}

// testServer runs serve on every connection that it accepts, each on a goroutine
// of its own. The end of the test ends all of them.
type testServer struct {
	address string

	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	running  sync.WaitGroup
	serving  atomic.Int64 // connections that are not closed
}

func startServer(t *testing.T, network string, serve func(net.Conn)) *testServer {
	t.Helper()
	var l net.Listener
	var err error
	address := ""
	switch network {
	case "unix":
		path := filepath.Join(t.TempDir(), "s")
		l, err = net.Listen("unix", path)
		address = "unix:" + path
	case "tcp4":
		l, err = net.Listen(network, "127.0.0.1:0")
	case "tcp6":
		l, err = net.Listen(network, "[::1]:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	if address == "" {
		address = l.Addr().String()
	}
	s := &testServer{address: address, listener: l}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.serving.Add(1)
			s.running.Go(func() {
				defer s.serving.Add(-1)
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *testServer) stop() {
	s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// quiet waits until the server has closed all connections that it has accepted.
func (s *testServer) quiet(t *testing.T) {
	t.Helper()
	until(t, "no connection is served", func() bool { return s.serving.Load() == 0 })
}

// echo sends back what comes.
func echo(c net.Conn) {
	_, _ = io.Copy(c, struct{ io.Reader }{c})
}

// silent takes what comes and never answers.
func silent(c net.Conn) {
	_, _ = io.Copy(io.Discard, c)
}

// descriptors is how many descriptors this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
