//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// waitMillis bounds a wait for an event that must come.
const waitMillis = 20_000

// place is where a test listens.
type place struct{ network, address string }

func (p place) isUnix() bool { return p.network == "unix" }

// forEachNetwork runs test on TCP over IPv4 and IPv6 and on unix sockets.
func forEachNetwork(t *testing.T, test func(t *testing.T, at place)) {
	for _, at := range []place{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"unix", ""}} {
		t.Run(at.network, func(t *testing.T) {
			if at.isUnix() {
				at.address = socketPath(t)
			}
			if at.network == "tcp6" {
				requireIPv6(t)
			}
			test(t, at)
		})
	}
}

// requireIPv6 skips where the machine has no IPv6 loopback at all.
func requireIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("this machine has no IPv6 loopback:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// socketPath is a path short enough for every system.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func mustListen(t testing.TB, at place, o ListenOptions) Listener {
	t.Helper()
	l, err := Kernel().Listen(at.network, at.address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Release(Kernel()) })
	return l
}

// mustDial connects to address and returns the descriptor alone.
func mustDial(t testing.TB, address net.Addr) int {
	t.Helper()
	c, err := net.Dial(address.Network(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fd, err := Dup(c.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func mustAccept(t testing.TB, listener int) int {
	t.Helper()
	await(t, listener, unix.POLLIN)
	fd, _, errno := Kernel().Accept(listener)
	if errno != 0 {
		t.Fatal("accept:", errno)
	}
	return fd
}

// pair is both ends of a connection; they are closed when the test ends.
type pair struct {
	server, client int
}

func newPair(t testing.TB, at place) *pair {
	t.Helper()
	l := mustListen(t, at, ListenOptions{Conn: ConnOptions{NoDelay: true}})
	p := &pair{client: mustDial(t, l.Addr)}
	p.server = mustAccept(t, l.FD)
	t.Cleanup(func() {
		p.closeServer()
		p.closeClient()
	})
	return p
}

func (p *pair) closeServer() { closeOnce(&p.server) }
func (p *pair) closeClient() { closeOnce(&p.client) }

func closeOnce(fd *int) {
	if *fd >= 0 {
		Kernel().Close(*fd)
	}
	*fd = -1
}

// await waits until fd has one of events, or an error or hang-up.
func await(t testing.TB, fd int, events int16) {
	t.Helper()
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, waitMillis)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			t.Fatalf("poll: %d ready, %v", n, err)
		}
		return
	}
}

// mustSend sends all of p, waiting for room.
func mustSend(t testing.TB, fd int, p []byte) {
	t.Helper()
	for len(p) > 0 {
		n, errno := Kernel().Send(fd, p)
		if errno == unix.EAGAIN {
			await(t, fd, unix.POLLOUT)
		} else if errno != 0 {
			t.Fatal("send:", errno)
		}
		p = p[n:]
	}
}

// mustRecv receives exactly n bytes, waiting for them.
func mustRecv(t testing.TB, fd, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	for got := 0; got < n; {
		await(t, fd, unix.POLLIN)
		n, errno := Kernel().Recv(fd, p[got:])
		if errno != 0 || n == 0 {
			t.Fatalf("recv: %d bytes, %v after %d", n, errno, got)
		}
		got += n
	}
	return p
}

// checkFlags fails unless fd is non-blocking and close-on-exec.
func checkFlags(t *testing.T, what string, fd int) {
	t.Helper()
	if !isNonblocking(t, fd) {
		t.Errorf("%s is in blocking mode", what)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("%s is not close-on-exec: %#x, %v", what, flags, err)
	}
}

func isNonblocking(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}
