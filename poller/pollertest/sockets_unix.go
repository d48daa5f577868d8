//go:build unix

package pollertest

import (
	"os"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Sockets returns the real thing: TCP over the loopback device. Its listener is
// closed with the test.
func Sockets(t testing.TB) Kernel {
	k := &sockets{}
	var err error
	if k.listener, err = newSocket(); err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(k.listener) })
	if err := unix.Bind(k.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("bind: %v", err)
	}
	if err := unix.Listen(k.listener, 16); err != nil {
		t.Fatalf("listen: %v", err)
	}
	if k.addr, err = unix.Getsockname(k.listener); err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	return k
}

type sockets struct {
	mu       sync.Mutex // one connect and accept at a time, so that they match
	listener int
	addr     unix.Sockaddr
}

// newSocket returns a blocking TCP socket that children do not inherit.
func newSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// Pair implements Kernel.
func (k *sockets) Pair() (local, peer int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	local, err = newSocket()
	if err != nil {
		return -1, -1, os.NewSyscallError("socket", err)
	}
	// The loopback device connects before it returns: the queue has room.
	if err = retry(func() error { return unix.Connect(local, k.addr) }); err != nil && err != unix.EISCONN {
		unix.Close(local)
		return -1, -1, os.NewSyscallError("connect", err)
	}
	err = retry(func() error {
		peer, _, err = unix.Accept(k.listener)
		return err
	})
	if err != nil {
		unix.Close(local)
		return -1, -1, os.NewSyscallError("accept", err)
	}
	unix.CloseOnExec(peer)
	for _, fd := range []int{local, peer} {
		if err = unix.SetNonblock(fd, true); err == nil {
			// A test that sends twice must not wait for the first to be
			// acknowledged.
			err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		}
		if err != nil {
			unix.Close(local)
			unix.Close(peer)
			return -1, -1, os.NewSyscallError("set option", err)
		}
	}
	return local, peer, nil
}

// Send implements Kernel.
func (k *sockets) Send(fd int, p []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Write(fd, p)
		return err
	})
	return max(n, 0), err
}

// Recv implements Kernel.
func (k *sockets) Recv(fd int, p []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Read(fd, p)
		return err
	})
	return max(n, 0), err
}

// SendUrgent implements Kernel.
func (k *sockets) SendUrgent(fd int, b byte) error {
	return retry(func() error { return unix.Sendto(fd, []byte{b}, unix.MSG_OOB, nil) })
}

// CloseWrite implements Kernel.
func (k *sockets) CloseWrite(fd int) error {
	return unix.Shutdown(fd, unix.SHUT_WR)
}

// Reset implements Kernel.
func (k *sockets) Reset(fd int) error {
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		// A socket that the other side has reset may refuse options.
		unix.Close(fd)
		return nil
	}
	return unix.Close(fd)
}

// Close implements Kernel.
func (k *sockets) Close(fd int) error {
	return unix.Close(fd)
}

// Interrupt implements Kernel. The Go runtime uses SIGURG itself and ignores
// those that it did not send.
func (k *sockets) Interrupt() error {
	return unix.Kill(unix.Getpid(), unix.SIGURG)
}

// Capacity implements Kernel. The room that it leaves is for everything else in
// the process.
func (k *sockets) Capacity() int {
	const others = 200
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<20)) - others
}

// retry repeats a call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
