package sock

import (
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestRawCallsSurviveStackGrowth receives at every depth of a fresh stack, so
// that in some calls the stack moves in the wrapper, after the caller has taken
// the address of its buffer there. The byte must arrive where the buffer is now
// and not where it was.
func TestRawCallsSurviveStackGrowth(t *testing.T) {
	p := newPair(t, place{"unix", socketPath(t)})
	for depth := range 1000 {
		mustSend(t, p.client, []byte{'x'})
		var got byte
		var errno syscall.Errno
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, errno = descend(depth, p.server)
		}()
		<-done
		if got != 'x' || errno != 0 {
			t.Fatalf("depth %d: received %q, %v", depth, got, errno)
		}
	}
}

// descend goes depth calls down and receives one byte there.
//
//go:noinline
func descend(depth, fd int) (byte, syscall.Errno) {
	if depth > 0 {
		return descend(depth-1, fd)
	}
	return recvOnStack(fd)
}

// recvOnStack receives one byte, with all that the call needs on the stack.
//
//go:noinline
func recvOnStack(fd int) (byte, syscall.Errno) {
	var buf [1]byte
	vector := unix.Iovec{Base: &buf[0]}
	vector.SetLen(1)
	var message unix.Msghdr
	message.Iov = &vector
	message.SetIovlen(1)
	_, errno := rawMessage(unix.SYS_RECVMSG, fd, unsafe.Pointer(&message), unix.MSG_DONTWAIT)
	return buf[0], errno
}
