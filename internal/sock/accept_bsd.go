//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Accept takes one connection.
func (*kernel) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	conn, address, err := accept(fd)
	if err != nil {
		return -1, netip.AddrPort{}, errnoOf(err)
	}
	if err := silencePipe(conn); err != nil {
		unix.Close(conn)
		// The only way to fail is a peer that has gone already.
		return -1, netip.AddrPort{}, unix.ECONNABORTED
	}
	return conn, addrPortFrom(address), 0
}
