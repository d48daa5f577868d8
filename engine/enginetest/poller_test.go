package enginetest

import (
	"errors"
	"syscall"
	"testing"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/poller/pollertest"
)

// TestPoller runs the suite that every poller passes on the one in memory.
func TestPoller(t *testing.T) {
	w := newNetwork(openGate{})
	pollertest.Run(t, pollertest.Backend{
		Name:      "memory",
		Open:      func() (poller.Poller, error) { return newPoller(w, 0), nil },
		Kernel:    kernel{w},
		Allocates: true,
		Wakes:     20_000,
	})
	for _, call := range w.misuses {
		if call != "send" && call != "recv" {
			t.Errorf("call of a descriptor that is not open: %s", call)
		}
	}
}

// kernel is a network as the suite wants it.
type kernel struct{ w *network }

func (k kernel) Pair() (local, peer int, err error) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	first, second := k.w.pair(false, 0, 0)
	return k.w.install(first), k.w.install(second), nil
}

func (k kernel) Send(fd int, p []byte) (int, error) { return result(k.w.Send(fd, p)) }
func (k kernel) Recv(fd int, p []byte) (int, error) { return result(k.w.Recv(fd, p)) }
func (k kernel) CloseWrite(fd int) error            { return fail(k.w.ShutdownWrite(fd)) }
func (k kernel) Close(fd int) error                 { return fail(k.w.Close(fd)) }
func (k kernel) Interrupt() error                   { return errors.ErrUnsupported }
func (k kernel) Capacity() int                      { return 10_000 }

func (k kernel) SendUrgent(fd int, _ byte) error {
	return fail(k.w.shout(k.w.find("send", fd)))
}

func (k kernel) Reset(fd int) error {
	_ = k.w.SetOption(fd, sock.Linger, 0)
	return k.Close(fd)
}

func result(n int, errno syscall.Errno) (int, error) { return n, fail(errno) }

func fail(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
