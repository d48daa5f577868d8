package engine_test

import (
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// Faults that no test can make the kernel produce are put between the engine and
// the real sockets and poller.

// acceptScript fails accepting as often as its errnos say, and then no more.
type acceptScript struct {
	mu     sync.Mutex
	errnos []syscall.Errno
	calls  int
}

// next returns what an accept is to fail with, or 0.
func (a *acceptScript) next() syscall.Errno {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	if len(a.errnos) == 0 {
		return 0
	}
	errno := a.errnos[0]
	a.errnos = a.errnos[1:]
	return errno
}

// add makes the accepts to come fail n more times.
func (a *acceptScript) add(errno syscall.Errno, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.errnos = append(a.errnos, errno)
	}
}

func (a *acceptScript) left() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.errnos)
}

// failingAccept are the real sockets, but for accepting.
type failingAccept struct {
	sock.System
	script *acceptScript
}

func (f failingAccept) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	if errno := f.script.next(); errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return f.System.Accept(fd)
}

func withAccept(script *acceptScript) engine.Option {
	return engine.WithDeps(inject.Deps{Sockets: failingAccept{sock.Kernel(), script}})
}

// failingRecv are the real sockets, but once there is nothing more to read, the
// connection has failed.
type failingRecv struct {
	sock.System
	errno syscall.Errno
}

func (f failingRecv) Recv(fd int, p []byte) (int, syscall.Errno) {
	n, errno := f.System.Recv(fd, p)
	if errno == syscall.EAGAIN || n == 0 && errno == 0 {
		return 0, f.errno
	}
	return n, errno
}

// meddler is a real poller with somebody in between. It belongs to its loop.
type meddler struct {
	poller.Poller
	onAdd  func(fd int) error                                          // before a registration; may be nil
	onPoll func(events []poller.Event, n int) int                      // after a poll; may be nil
	onPark func(deadline time.Time) (adjusted time.Time, instead bool) // instead: return at once
}

func (m *meddler) Add(fd int, interest poller.Interest, token poller.Token) error {
	if m.onAdd != nil {
		if err := m.onAdd(fd); err != nil {
			return err
		}
	}
	return m.Poller.Add(fd, interest, token)
}

func (m *meddler) Poll(events []poller.Event) (int, error) {
	n, err := m.Poller.Poll(events)
	if m.onPoll != nil {
		n = m.onPoll(events, n)
	}
	return n, err
}

func (m *meddler) Park(events []poller.Event, deadline time.Time) (int, error) {
	if m.onPark != nil {
		adjusted, instead := m.onPark(deadline)
		if instead {
			return 0, nil
		}
		deadline = adjusted
	}
	n, err := m.Poller.Park(events, deadline)
	if m.onPoll != nil {
		n = m.onPoll(events, n)
	}
	return n, err
}

// withPoller has every loop poll through a meddler that set prepares.
func withPoller(set func(*meddler)) engine.Option {
	return engine.WithDeps(inject.Deps{NewPoller: func() (poller.Poller, error) {
		p, err := poller.Open()
		if err != nil {
			return nil, err
		}
		m := &meddler{Poller: p}
		set(m)
		return m, nil
	}})
}
