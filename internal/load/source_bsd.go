//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package load

import (
	"os"

	"golang.org/x/sys/unix"
)

// bindSource gives fd an address.
func bindSource(fd int, a unix.Sockaddr) error { return os.NewSyscallError("bind", unix.Bind(fd, a)) }
