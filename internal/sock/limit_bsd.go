//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Somaxconn is the longest queue of connections that wait to be accepted. Where
// the system does not tell, the error wraps errors.ErrUnsupported.
func Somaxconn() (int, error) { return sysctl(sysctlSomaxconn) }

// PortRange is the range of ports that dialled connections take, both ends
// included.
func PortRange() (lo, hi int, err error) {
	if lo, err = sysctl(sysctlPortLow); err == nil {
		hi, err = sysctl(sysctlPortHigh)
	}
	if err != nil {
		return 0, 0, err
	}
	return lo, hi, nil
}

// sysctl reads a number by name; an empty name is one that the system lacks.
func sysctl(name string) (int, error) {
	if name == "" {
		return 0, fmt.Errorf("sock: sysctl: %w", errors.ErrUnsupported)
	}
	value, err := unix.SysctlUint32(name)
	if err != nil {
		return 0, fmt.Errorf("sock: sysctl %s: %w", name, err)
	}
	return int(value), nil
}
