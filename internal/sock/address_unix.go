//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// addrFrom16 makes an address of 16 bytes. IPv4 in IPv6, which a dual-stack
// listener reports, becomes plain IPv4. The zone is the interface's number and
// not its name, because finding the name would cost more than the accept.
func addrFrom16(bytes [16]byte, scope uint32) netip.Addr {
	addr := netip.AddrFrom16(bytes).Unmap()
	if scope != 0 && addr.Is6() {
		addr = addr.WithZone(strconv.FormatUint(uint64(scope), 10))
	}
	return addr
}

// addrPortFrom converts an address; it is zero for other families.
func addrPortFrom(address unix.Sockaddr) netip.AddrPort {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(addrFrom16(a.Addr, a.ZoneId), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// LocalAddr is the address that fd is bound to.
func (*kernel) LocalAddr(fd int) net.Addr {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return nil
	}
	if a, ok := address.(*unix.SockaddrUnix); ok {
		return &net.UnixAddr{Name: a.Name, Net: "unix"}
	}
	if a := addrPortFrom(address); a.IsValid() {
		return net.TCPAddrFromAddrPort(a)
	}
	return nil
}
