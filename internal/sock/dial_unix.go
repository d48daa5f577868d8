//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Connecting is left to package net: it resolves names, tries the addresses of both
// families, and obeys the context. Only the descriptor of its connection stays.

// Dial connects with d. Network is tcp, tcp4, tcp6 or unix. The caller owns fd, to
// which no ConnOptions have been given; peer is as Accept has it. Errors are those of
// package net, and wrap the one of ctx if that ended.
func Dial(ctx context.Context, d net.Dialer, network, address string) (fd int, peer netip.AddrPort, err error) {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return -1, netip.AddrPort{}, &net.OpError{Op: "dial", Net: network, Err: net.UnknownNetworkError(network)}
	}
	d.KeepAlive = -1 // theirs is set by Configure
	d.KeepAliveConfig.Enable = false
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return -1, netip.AddrPort{}, sayDeadline(err)
	}
	defer c.Close()
	fd, err = Dup(c.(syscall.Conn))
	if err != nil {
		return -1, netip.AddrPort{}, &net.OpError{Op: "dial", Net: network, Addr: c.RemoteAddr(), Err: err}
	}
	return fd, peerOf(fd, c.RemoteAddr()), nil
}

// sayDeadline has a time-out say that it is the context's: package net sets that as a
// deadline of the socket, too, and whichever is noticed first is the error.
func sayDeadline(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err == os.ErrDeadlineExceeded {
		op.Err = context.DeadlineExceeded
	}
	return err
}

// AdoptConn duplicates the descriptor of a connection, like Dup. Local tells that it is
// a unix socket; peer is as Accept has it. A connection without syscall.Conn is refused
// with its type's name, and so is what is not a stream socket of TCP or unix.
func AdoptConn(c net.Conn) (fd int, peer netip.AddrPort, local bool, err error) {
	raw, ok := c.(syscall.Conn)
	if !ok {
		err = fmt.Errorf("sock: cannot adopt %T: it has no SyscallConn method: %w", c, errors.ErrUnsupported)
		return -1, netip.AddrPort{}, false, err
	}
	fd, err = Dup(raw)
	if err != nil {
		return -1, netip.AddrPort{}, false, err
	}
	if local, err = checkConn(fd); err != nil {
		unix.Close(fd)
		return -1, netip.AddrPort{}, false, fmt.Errorf("sock: cannot adopt %T: %w", c, err)
	}
	if !local {
		peer = peerOf(fd, c.RemoteAddr())
	}
	return fd, peer, local, nil
}

// checkConn tells why fd cannot be a session, if so, or whether it is a unix socket.
func checkConn(fd int) (local bool, err error) {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return false, os.NewSyscallError("getsockopt", err)
	} else if kind != unix.SOCK_STREAM {
		return false, fmt.Errorf("not a stream socket: %w", unix.EPROTOTYPE)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false, os.NewSyscallError("getsockname", err)
	}
	switch name.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6:
		return false, nil
	case *unix.SockaddrUnix:
		return true, nil
	}
	return false, fmt.Errorf("neither TCP nor a unix socket: %w", unix.EAFNOSUPPORT)
}

// peerOf is the address that fd is connected to; zero for a unix socket. The kernel
// forgets it when the peer has reset the connection, but known remembers.
func peerOf(fd int, known net.Addr) netip.AddrPort {
	if address, err := unix.Getpeername(fd); err == nil {
		return addrPortFrom(address)
	}
	tcp, ok := known.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
