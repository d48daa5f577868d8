//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAdopt(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		original, err := net.Listen(at.network, at.address)
		if err != nil {
			t.Fatal(err)
		}
		defer original.Close()
		l, err := Kernel().Adopt(original)
		if err != nil {
			t.Fatal(err)
		}
		checkFlags(t, "adopted listener", l.FD)
		if l.Addr.String() != original.Addr().String() || l.Unlink != "" || l.Inherits {
			t.Errorf("adopted %+v", l)
		}

		client := mustDial(t, l.Addr)
		defer Kernel().Close(client)
		Kernel().Close(mustAccept(t, l.FD))

		if err := l.Release(Kernel()); err != nil {
			t.Error(err)
		}
		second := mustDial(t, original.Addr())
		defer Kernel().Close(second)
		conn, err := original.Accept()
		if err != nil {
			t.Fatal("the original no longer works:", err)
		}
		conn.Close()
	})
}

func TestAdoptedOutlivesOriginal(t *testing.T) {
	original, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Kernel().Adopt(original)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release(Kernel())
	original.Close()
	client := mustDial(t, l.Addr)
	defer Kernel().Close(client)
	Kernel().Close(mustAccept(t, l.FD))
}

func TestAdoptRefuses(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	for _, c := range []struct {
		name string
		l    net.Listener
		is   error
		says string
	}{
		{"a wrapper", tls.NewListener(inner, &tls.Config{}), errors.ErrUnsupported, "*tls.listener"},
		{"nothing", nil, errors.ErrUnsupported, "<nil>"},
		{"a closed listener", closed, net.ErrClosed, closed.Addr().String()},
		{"a connection", connListener{inner, conn.(*net.TCPConn)}, unix.EINVAL, "not a listening socket"},
	} {
		if _, err := Kernel().Adopt(c.l); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", c.name, err, c.is, c.says)
		}
	}
}

// connListener is a listener whose descriptor is a connection's.
type connListener struct {
	net.Listener
	conn *net.TCPConn
}

func (l connListener) SyscallConn() (syscall.RawConn, error) { return l.conn.SyscallConn() }

// TestAdoptRefusesBlockingMode takes the way by which a listener becomes
// blocking unnoticed, and checks that nobody changes it back.
func TestAdoptRefusesBlockingMode(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := duplicate(l.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	if _, err := Kernel().Adopt(l); err == nil || !strings.Contains(err.Error(), "blocking mode") {
		t.Errorf("Adopt: %v", err)
	}
	if isNonblocking(t, fd) {
		t.Error("the mode was changed")
	}
}

func TestDup(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		l := mustListen(t, at, ListenOptions{})
		original, err := net.Dial(l.Addr.Network(), l.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer original.Close()
		server := mustAccept(t, l.FD)
		defer Kernel().Close(server)

		fd, err := Dup(original.(syscall.Conn))
		if err != nil {
			t.Fatal(err)
		}
		defer Kernel().Close(fd)
		checkFlags(t, "duplicate", fd)

		if _, err := original.Write([]byte("from original")); err != nil {
			t.Error(err)
		}
		mustRecv(t, server, len("from original"))
		original.Close()
		mustSend(t, fd, []byte("from duplicate"))
		mustRecv(t, server, len("from duplicate"))

		if fd, err := Dup(original.(syscall.Conn)); !errors.Is(err, net.ErrClosed) || fd != -1 {
			t.Errorf("Dup of a closed connection: %d, %v", fd, err)
		}
	})
}
