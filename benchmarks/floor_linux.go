package main

import (
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The floor: an echo server that is nothing but event loops, as fast as Go can
// enter the kernel, and shares no code with weir. What an engine adds is what it
// loses against this. A turn of a loop:
//
//  1. poll; when nothing is ready, park on the runtime's own poller
//  2. accept what waits (the first loop only), placing connections in turn
//  3. for each ready connection: read into the loop's buffer and write it back,
//     until a read comes up short
//  4. after a turn that did not park, let other goroutines run
//
// It serves echo only, TCP only, and ends the process on any error that is not a
// connection's own.

const (
	floorBuffer = 64 << 10 // bytes per read; as the engine's
	floorEvents = 512      // per turn
	floorSpin   = 50 * time.Microsecond
)

// floor is the server; conns, by descriptor, is written by whoever opens or
// closes that descriptor and read by its loop.
type floor struct {
	listener int
	loops    []*floorLoop
	conns    []atomic.Pointer[floorConn]
	accepted int
}

// floorConn belongs to its loop.
type floorConn struct {
	fd   int
	rest []byte // read, but not taken by the kernel for writing yet
}

// floorLoop is one goroutine with one epoll.
type floorLoop struct {
	floor  *floor
	epoll  int
	file   *os.File // owns epoll
	parker syscall.RawConn
	look   func(uintptr) bool // poll, stored once so that parking allocates nothing
	spin   time.Duration

	events [floorEvents]unix.EpollEvent
	ready  int // how many of events are set
	buffer [floorBuffer]byte
}

func startFloor() (string, error)         { return newFloor(0) }
func startSpinningFloor() (string, error) { return newFloor(floorSpin) }

// newFloor starts a loop for each P and returns the address.
func newFloor(spin time.Duration) (string, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return "", fmt.Errorf("getrlimit: %w", err)
	}
	listener, address, err := floorListen()
	if err != nil {
		return "", err
	}
	f := &floor{listener: listener, conns: make([]atomic.Pointer[floorConn], min(limit.Cur, 1<<20))}
	for range runtime.GOMAXPROCS(0) {
		l, err := newFloorLoop(f, spin)
		if err != nil {
			return "", err
		}
		f.loops = append(f.loops, l)
	}
	if err := f.loops[0].watch(listener, unix.EPOLLIN); err != nil {
		return "", err
	}
	for _, l := range f.loops {
		go l.run()
	}
	return address.String(), nil
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

func newFloorLoop(f *floor, spin time.Duration) (*floorLoop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or NewFile keeps it from the runtime's poller
		return nil, fmt.Errorf("fcntl: %w", err)
	}
	l := &floorLoop{floor: f, epoll: fd, file: os.NewFile(uintptr(fd), "epoll"), spin: spin}
	l.look = func(uintptr) bool { return l.poll() }
	l.parker, err = l.file.SyscallConn()
	return l, err
}

// watch registers fd for good.
func (l *floorLoop) watch(fd int, events uint32) error {
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (l *floorLoop) run() {
	for {
		found := l.poll() || l.spinning()
		if !found {
			if err := l.parker.Read(l.look); err != nil {
				log.Fatal("floor: park: ", err)
			}
		}
		for _, e := range l.events[:l.ready] {
			if int(e.Fd) == l.floor.listener {
				l.floor.accept()
			} else if c := l.floor.conns[e.Fd].Load(); c != nil {
				l.serve(c, e.Events)
			}
		}
		if found {
			runtime.Gosched()
		}
	}
}

// poll asks for events without waiting and says whether there are any.
func (l *floorLoop) poll() bool {
	n, errno := rawCall(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), floorEvents, 0, 0, 0)
	if errno != 0 && errno != unix.EINTR {
		log.Fatal("floor: epoll_pwait: ", errno)
	}
	l.ready = 0
	if errno == 0 {
		l.ready = int(n)
	}
	return l.ready > 0
}

// spinning polls until there is something or the spin is over.
func (l *floorLoop) spinning() bool {
	if l.spin == 0 {
		return false
	}
	for start := time.Now(); time.Since(start) < l.spin; {
		if l.poll() {
			return true
		}
	}
	return false
}

// accept takes all connections that wait. Only the first loop calls it.
func (f *floor) accept() {
	for {
		fd, _, err := unix.Accept4(f.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			log.Fatal("floor: accept: ", err)
		}
		f.conns[fd].Store(&floorConn{fd: fd})
		l := f.loops[f.accepted%len(f.loops)]
		f.accepted++
		if err := l.watch(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP); err != nil {
			log.Fatal("floor: ", err)
		}
	}
}

// lastBytes are the events after which a short read does not mean that the socket
// is empty.
const lastBytes = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// serve echoes what a ready connection has to read.
func (l *floorLoop) serve(c *floorConn, events uint32) {
	if !c.flush() {
		return
	}
	for {
		n, errno := rawCall(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&l.buffer[0])), floorBuffer, unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return
		case errno != 0, n == 0:
			l.floor.close(c)
			return
		}
		if rest := c.send(l.buffer[:n]); len(rest) > 0 {
			c.rest = append(c.rest[:0], rest...)
			return
		}
		if n < floorBuffer && events&lastBytes == 0 {
			return
		}
	}
}

// flush writes what is left of earlier turns and says whether all of it went out.
func (c *floorConn) flush() bool {
	if len(c.rest) > 0 {
		c.rest = c.rest[:copy(c.rest, c.send(c.rest))]
	}
	return len(c.rest) == 0
}

// send writes p and returns what the kernel did not take. What cannot be sent at
// all is dropped: the next read tells that the connection is gone.
func (c *floorConn) send(p []byte) (rest []byte) {
	for len(p) > 0 {
		n, errno := rawCall(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			p = p[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			return p
		default:
			return nil
		}
	}
	return nil
}

func (f *floor) close(c *floorConn) {
	f.conns[c.fd].Store(nil)
	unix.Close(c.fd)
}

// rawCall enters the kernel past the scheduler, for calls that cannot block. Not
// inlined, because its stack check is where the runtime can stop the loop. What the
// arguments point to is kept alive and in place until it returns.
//
//go:noinline
//go:uintptrescapes
func rawCall(trap, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
	return r, errno
}
