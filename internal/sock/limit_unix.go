//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

// FDLimit is how many descriptors this process may have open: the limit in
// force, and the one up to which it may be raised without privilege. The Go
// runtime has raised the former to the latter already, except where the
// operating system has a lower limit of its own.
func FDLimit() (soft, hard uint64, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, os.NewSyscallError("getrlimit", err)
	}
	return uint64(limit.Cur), uint64(limit.Max), nil
}
