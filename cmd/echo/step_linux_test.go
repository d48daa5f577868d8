package main

import (
	"os"
	"syscall"
)

// stepPipe makes a pipe that holds one write: whoever has not been read yet cannot write
// again. So it is at most a line ahead of who reads, however long that one takes.
func stepPipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_DIRECT); err != nil { // a packet for each write
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "step"), os.NewFile(uintptr(fds[1]), "step")
	const setPipeSize = 1031 // F_SETPIPE_SZ; a page is room for one packet
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fds[1]), setPipeSize, 1); errno != 0 {
		r.Close()
		w.Close()
		return nil, nil, os.NewSyscallError("fcntl", errno)
	}
	return r, w, nil
}
