package sock

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept takes one connection, non-blocking and close-on-exec from birth.
//
// Accept has no flag that keeps it from blocking; only the listener's mode does,
// and that is shared with every duplicate of it. So this call, unlike those that
// carry traffic, does tell the scheduler: if somebody makes the listener
// blocking behind our back, one thread waits and not the whole program.
func (*kernel) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	var address unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	conn, _, errno := syscall.Syscall6(unix.SYS_ACCEPT4, uintptr(fd),
		uintptr(unsafe.Pointer(&address)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(conn), addrPortFromRaw(&address), 0
}

// addrPortFromRaw reads the address that the kernel filled in; it is zero for
// families other than IPv4 and IPv6.
func addrPortFromRaw(address *unix.RawSockaddrAny) netip.AddrPort {
	switch address.Addr.Family {
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(address))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), portFromRaw(&v4.Port))
	case unix.AF_INET6:
		v6 := (*unix.RawSockaddrInet6)(unsafe.Pointer(address))
		return netip.AddrPortFrom(addrFrom16(v6.Addr, v6.Scope_id), portFromRaw(&v6.Port))
	}
	return netip.AddrPort{}
}

// portFromRaw reads a port, which is in network byte order in memory.
func portFromRaw(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}
