//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Taking over sockets of package net. The descriptor is duplicated through
// SyscallConn: the File method, which is the usual way, hands out a descriptor
// whose Fd method makes the user's socket blocking.

// Adopt duplicates the descriptor of l.
//
// Blocking mode belongs to the socket and not to the descriptor, so a duplicate
// cannot have its own. Listeners of package net are non-blocking; one that has
// been made blocking (os.File.Fd does that) is refused instead of being changed
// under the feet of whoever relies on it.
func (*kernel) Adopt(l net.Listener) (Listener, error) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return Listener{}, fmt.Errorf("sock: cannot adopt %T: it has no SyscallConn method: %w", l, errors.ErrUnsupported)
	}
	fd, err := duplicate(c)
	if err == nil {
		if err = checkAdopted(fd); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return Listener{}, fmt.Errorf("sock: cannot adopt %T on %v: %w", l, l.Addr(), err)
	}
	return Listener{FD: fd, Addr: l.Addr()}, nil
}

// checkAdopted tells why fd cannot be accepted from, if so.
func checkAdopted(fd int) error {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return os.NewSyscallError("getsockopt", err)
	} else if kind != unix.SOCK_STREAM {
		return fmt.Errorf("not a stream socket: %w", unix.EPROTOTYPE)
	}
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil {
		return os.NewSyscallError("getsockopt", err)
	} else if listens == 0 {
		return fmt.Errorf("not a listening socket: %w", unix.EINVAL)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil {
		return os.NewSyscallError("fcntl", err)
	} else if flags&unix.O_NONBLOCK == 0 {
		return fmt.Errorf("socket is in blocking mode; make it non-blocking first: %w", unix.EINVAL)
	}
	return nil
}

// Dup duplicates the descriptor of a connection, close-on-exec. The caller owns
// the duplicate and must still close c, whose file is otherwise left as it is
// but for one thing: the socket that both share is made non-blocking if it is
// not yet, as those of package net are.
func Dup(c syscall.Conn) (fd int, err error) {
	fd, err = duplicate(c)
	if err != nil {
		return -1, fmt.Errorf("sock: duplicate %T: %w", c, err)
	}
	if err = unix.SetNonblock(fd, true); err == nil {
		err = silencePipe(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("sock: duplicate %T: %w", c, err)
	}
	return fd, nil
}

// duplicate copies c's descriptor, close-on-exec.
func duplicate(c syscall.Conn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	copied := -1
	err = control(raw, func(fd int) (err error) {
		copied, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	if err != nil {
		return -1, err
	}
	return copied, nil
}
