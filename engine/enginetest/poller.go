package enginetest

import (
	"os"
	"syscall"
	"time"

	"github.com/weirnet/weir/poller"
)

// memoryPoller is a poller.Poller over a network. It works as epoll does in
// edge-triggered mode: a change puts a registration on a list; looking takes it
// off, and reports what the socket is ready for by then, all of it.
type memoryPoller struct {
	network *network
	index   int // in order of opening

	// Guarded by the network's lock.
	ready  []*registration
	woken  bool
	closed bool

	bell  chan struct{} // rung at each change; for sleep
	timer *time.Timer   // of sleep
}

// registration is a socket that a poller watches.
type registration struct {
	poller *memoryPoller
	socket *socket
	token  poller.Token
	mask   poller.Ready // what the owner wants to be told
	listed bool
	over   bool
	at     time.Time // when it was made, by a clock of the gate's
}

const allReady = poller.Readable | poller.Writable | poller.ReadClosed | poller.HangUp | poller.Failed

func maskOf(interest poller.Interest) poller.Ready {
	mask := poller.HangUp | poller.Failed
	if interest&poller.Read != 0 {
		mask |= poller.Readable | poller.ReadClosed | poller.Urgent
	}
	if interest&poller.Write != 0 {
		mask |= poller.Writable
	}
	return mask
}

func newPoller(w *network, index int) *memoryPoller {
	timer := time.NewTimer(0)
	timer.Stop()
	return &memoryPoller{network: w, index: index, bell: make(chan struct{}, 1), timer: timer}
}

// list has the registration looked at.
func (r *registration) list() {
	if !r.listed {
		r.listed = true
		r.poller.ready = append(r.poller.ready, r)
		r.poller.ring()
	}
}

func (p *memoryPoller) ring() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// enter begins a change of fd's registration; the lock is then held, unless
// there is an error.
func (p *memoryPoller) enter(call string, fd int) (*socket, int, error) {
	p.network.mu.Lock()
	s := p.network.at(fd)
	errno := syscall.Errno(0)
	switch {
	case p.closed:
		p.network.mu.Unlock()
		return nil, 0, poller.ErrClosed
	case s == nil:
		errno = syscall.EBADF
	default:
		for i, r := range s.watched {
			if r.poller == p {
				return s, i, nil
			}
		}
		if call == "add" {
			return s, -1, nil
		}
		errno = syscall.ENOENT
	}
	p.network.mu.Unlock()
	return nil, 0, os.NewSyscallError(call, errno)
}

// Add implements poller.Poller.
func (p *memoryPoller) Add(fd int, interest poller.Interest, token poller.Token) error {
	if token == poller.Reserved {
		return poller.ErrToken
	}
	r := &registration{poller: p, token: token, mask: maskOf(interest)}
	if err := p.network.gate.register(r); err != nil {
		return err
	}
	s, i, err := p.enter("add", fd)
	if err != nil {
		return err
	}
	defer p.network.mu.Unlock()
	if i >= 0 {
		return os.NewSyscallError("add", syscall.EEXIST)
	}
	r.socket = s
	s.watched = append(s.watched, r)
	r.list()
	return nil
}

// Modify implements poller.Poller.
func (p *memoryPoller) Modify(fd int, interest poller.Interest, token poller.Token) error {
	if token == poller.Reserved {
		return poller.ErrToken
	}
	s, i, err := p.enter("modify", fd)
	if err != nil {
		return err
	}
	defer p.network.mu.Unlock()
	r := s.watched[i]
	r.token, r.mask = token, maskOf(interest)
	r.list()
	return nil
}

// Remove implements poller.Poller.
func (p *memoryPoller) Remove(fd int) error {
	s, i, err := p.enter("remove", fd)
	if err != nil {
		return err
	}
	defer p.network.mu.Unlock()
	s.watched[i].over = true
	s.watched = append(s.watched[:i:i], s.watched[i+1:]...)
	return nil
}

// Poll implements poller.Poller.
func (p *memoryPoller) Poll(events []poller.Event) (int, error) {
	return p.look(events, false, time.Time{})
}

// Park implements poller.Poller.
func (p *memoryPoller) Park(events []poller.Event, deadline time.Time) (int, error) {
	return p.look(events, true, deadline)
}

func (p *memoryPoller) look(events []poller.Event, park bool, deadline time.Time) (int, error) {
	if p.isClosed() {
		return 0, poller.ErrClosed
	}
	if err := p.network.gate.wait(p, park, deadline); err != nil {
		return 0, err
	}
	n := p.collect(events, park)
	return p.network.gate.invent(p, events, n), nil
}

// collect fills events with what the listed sockets are ready for.
func (p *memoryPoller) collect(events []poller.Event, park bool) (n int) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if park {
		p.woken = false
	}
	looked, limit := 0, p.network.gate.arrange(p.ready)
	for _, r := range p.ready[:limit] {
		if n == len(events) {
			break
		}
		looked++
		r.listed = false
		if r.over {
			continue
		}
		if ready := r.socket.ready() & r.mask; ready != 0 {
			events[n] = poller.Event{Token: r.token, Ready: ready}
			n++
		}
	}
	rest := copy(p.ready, p.ready[looked:])
	clear(p.ready[rest:])
	p.ready = p.ready[:rest]
	return n
}

// idle tells whether there is nothing to return for.
func (p *memoryPoller) idle() bool {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	return len(p.ready) == 0 && !p.woken && !p.closed
}

func (p *memoryPoller) isClosed() bool {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	return p.closed
}

// sleep waits in real time until something changes or the deadline passes.
func (p *memoryPoller) sleep(deadline time.Time) {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		p.timer.Reset(time.Until(deadline))
		defer p.timer.Stop()
		expired = p.timer.C
	}
	for p.idle() {
		select {
		case <-p.bell:
		case <-expired:
			return
		}
	}
}

// Wake implements poller.Poller.
func (p *memoryPoller) Wake() error {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if p.closed {
		return poller.ErrClosed
	}
	p.woken = true
	p.ring()
	return nil
}

// Close implements poller.Poller.
func (p *memoryPoller) Close() error {
	if !p.shut() {
		return poller.ErrClosed
	}
	p.network.gate.ended(p)
	return nil
}

// shut ends all registrations; false if it was done before.
func (p *memoryPoller) shut() bool {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if p.closed {
		return false
	}
	p.closed = true
	for _, s := range p.network.table {
		if s == nil {
			continue
		}
		for i, r := range s.watched {
			if r.poller == p {
				r.over = true
				s.watched = append(s.watched[:i:i], s.watched[i+1:]...)
				break
			}
		}
	}
	p.ready = nil
	return true
}
