package load_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// testServer runs serve on every connection that it accepts, each on a goroutine
// of its own. The end of the test ends all of them.
type testServer struct {
	address string

	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	running  sync.WaitGroup
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
			s.running.Go(func() {
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
