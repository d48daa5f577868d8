//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The calls that carry traffic, by way of package unix: raw system calls are
// not supported on darwin and OpenBSD. Read has no flag against blocking, so
// sockets must be non-blocking, as those made here are.
//
// The race detector is told here too: package unix does so for Read only.

// Recv reads into p.
func (*kernel) Recv(fd int, p []byte) (int, syscall.Errno) {
	p = p[:min(len(p), MaxBytes)]
	for {
		n, err := unix.Read(fd, p)
		if err == nil {
			received(p[:n])
			return n, 0
		}
		if err != unix.EINTR {
			return 0, errnoOf(err)
		}
	}
}

// Send writes p.
func (*kernel) Send(fd int, p []byte) (int, syscall.Errno) {
	p = p[:min(len(p), MaxBytes)]
	for {
		n, err := unix.SendmsgN(fd, p, nil, nil, sendFlags)
		if err == nil {
			sent(p[:n])
			return n, 0
		}
		if err != unix.EINTR {
			return 0, errnoOf(err)
		}
	}
}

// Sendv writes the views in order. Package unix allocates the vectors.
func (*kernel) Sendv(fd int, views [][]byte) (int, syscall.Errno) {
	var array [MaxViews][]byte
	capped := array[:capViews(&array, views)]
	for {
		n, err := unix.SendmsgBuffers(fd, capped, nil, nil, sendFlags)
		if err == nil {
			sentViews(capped, n)
			return n, 0
		}
		if err != unix.EINTR {
			return 0, errnoOf(err)
		}
	}
}

// capViews fills capped with the views that one Sendv takes: no more than
// MaxViews of them, no more than MaxBytes in all, and no empty ones. It tells
// how many there are.
func capViews(capped *[MaxViews][]byte, views [][]byte) int {
	used, room := 0, MaxBytes
	for _, view := range views[:min(len(views), MaxViews)] {
		view = view[:min(len(view), room)]
		if len(view) > 0 {
			capped[used] = view
			used++
			room -= len(view)
		}
	}
	return used
}
