//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SetOption sets one option. What this system, or this kind of socket, does not
// have gives an error that wraps errors.ErrUnsupported.
func (*kernel) SetOption(fd int, o Option, value int) error {
	var err error
	switch o {
	case NoDelay:
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, value)
	case KeepAlive:
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, value)
	case KeepAliveSeconds:
		err = setKeepAliveSeconds(fd, value)
	case UserTimeoutMillis:
		err = setUserTimeout(fd, value)
	case Linger:
		err = setLinger(fd, value)
	case SendBuffer:
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, value)
	case RecvBuffer:
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, value)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("sock: set %v to %d: %w", o, value, optionError("setsockopt", fd, o, err))
	}
	return nil
}

// Option reads one option.
func (*kernel) Option(fd int, o Option) (int, error) {
	var value int
	var err error
	switch o {
	case NoDelay:
		value, err = boolOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
	case KeepAlive:
		value, err = boolOption(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	case KeepAliveSeconds:
		value, err = keepAliveSeconds(fd)
	case UserTimeoutMillis:
		value, err = userTimeout(fd)
	case Linger:
		value, err = lingerSeconds(fd)
	case SendBuffer:
		value, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	case RecvBuffer:
		value, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	case SocketError:
		value, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return 0, fmt.Errorf("sock: read %v: %w", o, optionError("getsockopt", fd, o, err))
	}
	return value, nil
}

// boolOption reads a switch as 0 or 1; the BSDs return the bit of the flag.
func boolOption(fd, level, option int) (int, error) {
	value, err := unix.GetsockoptInt(fd, level, option)
	if value != 0 {
		value = 1
	}
	return value, err
}

// optionError names the call. Kernels disagree on what a unix socket says to a
// TCP option, so that case is looked at and becomes errors.ErrUnsupported.
func optionError(call string, fd int, o Option, err error) error {
	if o == NoDelay || o == KeepAliveSeconds || o == UserTimeoutMillis {
		address, nameErr := unix.Getsockname(fd)
		if _, isUnix := address.(*unix.SockaddrUnix); nameErr == nil && isUnix {
			return errors.ErrUnsupported
		}
	}
	return os.NewSyscallError(call, err)
}
