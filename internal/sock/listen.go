//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listening: package net resolves the name, picks the family and binds, so that
// addresses mean here what they mean everywhere in Go. Its listener is then
// duplicated and closed; only the descriptor stays.

// Listen opens a listening socket. On tcp, an empty host is both IPv4 and IPv6
// where the system can.
func (k *kernel) Listen(network, address string, o ListenOptions) (Listener, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
		return k.listen(network, address, o)
	case "unix":
		return k.listenUnix(address, o)
	}
	return Listener{}, listenError(network, nil, fmt.Errorf("%s: %w", address, net.UnknownNetworkError(network)))
}

func (k *kernel) listen(network, address string, o ListenOptions) (Listener, error) {
	config := net.ListenConfig{
		KeepAlive: -1, // theirs is set at accept, which they never see
		Control: func(_, _ string, c syscall.RawConn) error {
			return control(c, func(fd int) error { return k.prepare(fd, network, o) })
		},
	}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), network, address)
	if err != nil {
		return Listener{}, err
	}
	defer l.Close()
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	fd, err := duplicate(l.(syscall.Conn))
	if err != nil {
		return Listener{}, listenError(network, l.Addr(), err)
	}
	if o.Backlog > 0 {
		if err := unix.Listen(fd, o.Backlog); err != nil {
			unix.Close(fd)
			return Listener{}, listenError(network, l.Addr(), err)
		}
	}
	return Listener{FD: fd, Addr: l.Addr(), Inherits: inheritsOptions}, nil
}

// prepare sets what must be set before the socket is bound.
func (k *kernel) prepare(fd int, network string, o ListenOptions) error {
	if o.ReusePort {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, reusePort, 1); err != nil {
			return err
		}
	}
	if inheritsOptions && network != "unix" {
		return Configure(k, fd, o.Conn)
	}
	return nil
}

// listenError gives err the form that package net uses.
func listenError(network string, address net.Addr, err error) error {
	return &net.OpError{Op: "listen", Net: network, Addr: address, Err: err}
}

// control runs f on c's descriptor and joins the two ways to fail.
func control(c syscall.RawConn, f func(fd int) error) error {
	var inner error
	err := c.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}
