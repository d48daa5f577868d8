package main

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the floors have in common: loops on epoll, as fast as Go can enter the kernel, that
// share no code with weir.

const (
	floorBuffer = 64 << 10 // bytes per read; as the engine's
	floorEvents = 512      // per turn
)

// bareLoop is one goroutine with one epoll.
type bareLoop struct {
	epoll  int
	file   *os.File // owns epoll
	parker syscall.RawConn
	look   func(uintptr) bool // poll, stored once so that parking allocates nothing
	spin   time.Duration      // polls for so long before it parks

	events [floorEvents]unix.EpollEvent
	ready  int // how many of events are set
	buffer [floorBuffer]byte
}

func (l *bareLoop) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or NewFile keeps it from the runtime's poller
		return fmt.Errorf("fcntl: %w", err)
	}
	l.epoll, l.file = fd, os.NewFile(uintptr(fd), "epoll")
	l.look = func(uintptr) bool { return l.poll() }
	l.parker, err = l.file.SyscallConn()
	return err
}

// watch registers fd for good.
func (l *bareLoop) watch(fd int, events uint32) error {
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// turns runs turn after each wait, for good. What has become ready is in events. After a
// turn that did not park, others may run.
func (l *bareLoop) turns(turn func()) {
	for {
		found := l.poll() || l.spinning()
		if !found {
			if err := l.parker.Read(l.look); err != nil {
				log.Fatal("floor: park: ", err)
			}
		}
		turn()
		if found {
			runtime.Gosched()
		}
	}
}

// poll asks for events without waiting and says whether there are any.
func (l *bareLoop) poll() bool {
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
func (l *bareLoop) spinning() bool {
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

// receive reads into the buffer, once.
func (l *bareLoop) receive(fd int) (int, syscall.Errno) {
	n, errno := rawCall(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&l.buffer[0])), floorBuffer, unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendBare writes p and returns what the kernel did not take. What cannot be sent at
// all is dropped: the next read tells that the connection is gone.
func sendBare(fd int, p []byte) (rest []byte) {
	for len(p) > 0 {
		n, errno := rawCall(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
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

// lastBytes are the events after which a short read does not mean that the socket
// is empty.
const lastBytes = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

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
