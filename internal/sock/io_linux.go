package sock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that carry traffic. MSG_DONTWAIT keeps them from blocking even on a
// socket that somebody else has put into blocking mode.
//
// One buffer goes through recvfrom and sendto, many through sendmsg: the former
// spare the kernel copying a message header and the views in. Descriptors that
// a peer passes over a unix socket are dropped by the kernel, because no call
// here gives it room for them.

// Recv reads into p.
func (*kernel) Recv(fd int, p []byte) (int, syscall.Errno) {
	p = p[:min(len(p), MaxBytes)]
	for {
		n, errno := rawBuffer(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
		if errno == 0 {
			received(p[:n])
			return n, 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Send writes p.
func (*kernel) Send(fd int, p []byte) (int, syscall.Errno) {
	p = p[:min(len(p), MaxBytes)]
	for {
		n, errno := rawBuffer(unix.SYS_SENDTO, fd, p, sendFlags)
		if errno == 0 {
			sent(p[:n])
			return n, 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Sendv writes the views in order.
func (*kernel) Sendv(fd int, views [][]byte) (int, syscall.Errno) {
	var vectors [MaxViews]unix.Iovec
	var message unix.Msghdr
	message.Iov = &vectors[0]
	message.SetIovlen(fillVectors(&vectors, views))
	for {
		n, errno := rawMessage(unix.SYS_SENDMSG, fd, unsafe.Pointer(&message), sendFlags)
		if errno == 0 {
			sentViews(views, n)
			return n, 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// fillVectors points vectors at the views, up to MaxViews of them and MaxBytes
// in all, and tells how many it used. Empty views take no vector.
func fillVectors(vectors *[MaxViews]unix.Iovec, views [][]byte) int {
	used, room := 0, MaxBytes
	for _, view := range views[:min(len(views), MaxViews)] {
		view = view[:min(len(view), room)]
		if len(view) == 0 {
			continue
		}
		vectors[used].Base = unsafe.SliceData(view)
		vectors[used].SetLen(len(view))
		used++
		room -= len(view)
	}
	return used
}
