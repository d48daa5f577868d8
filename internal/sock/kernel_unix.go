//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// kernel is the operating system's System. It has no state.
type kernel struct{}

// Kernel returns the operating system's sockets.
func Kernel() System { return &kernel{} }

// ShutdownWrite sends FIN after what is queued in the kernel.
func (*kernel) ShutdownWrite(fd int) syscall.Errno {
	return errnoOf(unix.Shutdown(fd, unix.SHUT_WR))
}

// Close closes fd, once.
func (*kernel) Close(fd int) syscall.Errno {
	return errnoOf(unix.Close(fd))
}

// errnoOf takes the errno out of what package unix returns.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return unix.EINVAL
}
