//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDial(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, at place) {
		l := mustListen(t, at, ListenOptions{})
		network := at.network
		fd, peer, err := Dial(context.Background(), net.Dialer{}, network, l.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer Kernel().Close(fd)
		checkFlags(t, "connection", fd)
		server := mustAccept(t, l.FD)
		defer Kernel().Close(server)
		if at.isUnix() == peer.IsValid() || peer.IsValid() && peer.String() != l.Addr.String() {
			t.Errorf("the peer is %v, want %v", peer, l.Addr)
		}
		mustSend(t, fd, []byte("hello"))
		mustRecv(t, server, len("hello"))
	})
}

func TestDialErrors(t *testing.T) {
	var op *net.OpError
	if _, _, err := Dial(context.Background(), net.Dialer{}, "udp", "127.0.0.1:1"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("udp: %v", err)
	}
	path := socketPath(t)
	_, _, err := Dial(context.Background(), net.Dialer{}, "unix", path)
	if !errors.Is(err, unix.ENOENT) || !errors.As(err, &op) || op.Addr.String() != path {
		t.Errorf("no such file: %v", err)
	}
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	if _, _, err := Dial(ctx, net.Dialer{}, "tcp", "127.0.0.1:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("too late: %v", err)
	}
}

// The socket's own deadline may be noticed before the context's.
func TestDialDeadlineIsTheContexts(t *testing.T) {
	err := sayDeadline(&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded})
	var timeout net.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%#v", err)
	}
}

func TestAdoptConnRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	secret := tls.Client(closed, &tls.Config{})
	closed.Close()
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()

	for _, c := range []struct {
		name string
		conn net.Conn
		is   error
		says string
	}{
		{"nothing", nil, errors.ErrUnsupported, "<nil>"},
		{"tls", secret, errors.ErrUnsupported, "*tls.Conn"},
		{"a pipe", pipe, errors.ErrUnsupported, "*net.pipe"},
		{"a closed one", closed, net.ErrClosed, "*net.TCPConn"},
		{"udp", udp, unix.EPROTOTYPE, "*net.UDPConn: not a stream socket"},
	} {
		if fd, _, _, err := AdoptConn(c.conn); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || fd != -1 {
			t.Errorf("%s: %d, %v, want %v that says %q", c.name, fd, err, c.is, c.says)
		}
	}
}

// A connection that its peer has reset has no peer any more, as far as the kernel knows.
func TestAdoptConnOfResetConnection(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	server.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { await(t, int(fd), unix.POLLHUP) }); err != nil {
		t.Fatal(err)
	}
	fd, peer, local, err := AdoptConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer Kernel().Close(fd)
	if peer.String() != l.Addr().String() || local {
		t.Errorf("peer %v, unix %v; want %v", peer, local, l.Addr())
	}
}
