package main

import (
	"errors"
	"fmt"
	"log"
	"net/netip"

	"golang.org/x/sys/unix"
)

// descriptorsMax is how many descriptors a floor has to reckon with.
func descriptorsMax() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("getrlimit: %w", err)
	}
	return min(limit.Cur, 1<<20), nil
}

// floorListen opens a listening socket. Connections inherit TCP_NODELAY from it.
func floorListen() (fd int, address netip.AddrPort, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, address, fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return -1, address, fmt.Errorf("setsockopt: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, address, fmt.Errorf("bind: %w", err)
	}
	const backlog = 1 << 16 // the kernel lowers it to somaxconn
	if err := unix.Listen(fd, backlog); err != nil {
		return -1, address, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return -1, address, fmt.Errorf("getsockname: %w", err)
	}
	bound, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return -1, address, errors.New("getsockname: not an IPv4 address")
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port)), nil
}

// acceptAll takes all connections that wait.
func acceptAll(listener int, take func(fd int)) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			take(fd)
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED:
		default:
			log.Fatal("floor: accept: ", err)
		}
	}
}
