package engine

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// stage is an engine whose loops do not run: the test takes their turns. Clock,
// poller and sockets are the test's, too.
type stage struct {
	t       *testing.T
	engine  *Engine
	loop    *loop
	clock   *stageClock
	poller  *stagePoller
	sockets *stageSockets
}

func newStage(t *testing.T, opts ...Option) *stage {
	t.Helper()
	st := &stage{t: t, clock: &stageClock{now: time.Unix(1_000_000, 0)}, poller: &stagePoller{}, sockets: newStageSockets()}
	deps := inject.Deps{Clock: st.clock, Sockets: st.sockets, NewPoller: func() (poller.Poller, error) { return st.poller, nil }}
	e, err := assemble(append([]Option{WithMode(Single), WithLogger(NoLog{}), WithDebugBuffers(), WithDeps(deps)}, opts...))
	if err != nil {
		t.Fatal(err)
	}
	st.engine, st.loop = e, e.loops[0]
	st.poller.parking = func() {
		if l := st.loop; len(l.marked)+len(l.ready)+len(l.dirty) > 0 || !l.mail.empty() {
			t.Errorf("the loop parks with work to do: %d to close, %d to read, %d to write", len(l.marked), len(l.ready), len(l.dirty))
		}
	}
	t.Cleanup(st.end)
	return st
}

// connect places a connection on the loop and opens it.
func (st *stage) connect(h session.Handler) *conn {
	st.t.Helper()
	return st.connectAs(h, connection{peer: netip.MustParseAddrPort("192.0.2.1:5555")})
}

func (st *stage) connectAs(h session.Handler, k connection) *conn {
	st.t.Helper()
	k.fd, k.handler = st.sockets.open(), session.NewBehaviour(h)
	if err := st.loop.adopt(k, st.loop); err != nil {
		st.t.Fatal(err)
	}
	for c := range st.conns() {
		if int(c.fd) == k.fd {
			return c
		}
	}
	st.t.Fatal("the connection has no slot")
	return nil
}

func (st *stage) conns() func(yield func(*conn) bool) {
	return func(yield func(*conn) bool) {
		for slot := range st.loop.slots.count() {
			if c := st.loop.slots.at(slot); c.session.Load() != nil && !yield(c) {
				return
			}
		}
	}
}

// tell has the poller report an event for c at its next call.
func (st *stage) tell(c *conn, ready poller.Ready) {
	st.poller.events = append(st.poller.events, poller.Event{Token: poller.Token(c.id), Ready: ready})
}

// pass lets time pass, turn by turn as a loop would wake.
func (st *stage) pass(d time.Duration) {
	for end := st.clock.Now().Add(d); ; {
		st.loop.turn()
		next := st.poller.deadline
		if st.poller.parked && (next.IsZero() || next.After(end)) {
			st.clock.set(end)
			return
		}
		if st.poller.parked && next.After(st.clock.Now()) {
			st.clock.set(next)
		}
	}
}

// end closes everything as a loop that was ordered to would.
func (st *stage) end() {
	st.engine.command(orderAbort)
	for range 100 {
		if st.ended() {
			break
		}
		if st.loop.finished() {
			st.loop.end()
			st.engine.loopEnded()
			break
		}
		st.loop.turn()
	}
	if left := st.sockets.left(); len(left) != 0 {
		st.t.Errorf("descriptors left open: %v", left)
	}
	if n := st.engine.pool.Stats().InUse; n != 0 {
		st.t.Errorf("%d bytes of buffers left", n)
	}
}

// ended tells whether the loop has run by itself, and has ended.
func (st *stage) ended() bool {
	select {
	case <-st.engine.ended:
		return true
	default:
		return false
	}
}

type stageClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *stageClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stageClock) set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = to
}

// stagePoller reports what the test put into events. It never waits.
type stagePoller struct {
	events   []poller.Event
	parked   bool      // the last wait was a Park
	parks    int       // how many there were
	deadline time.Time // of the last Park
	wakes    int
	removed  []int
	refuse   error  // the answer to Add
	parking  func() // runs before each Park
}

func (p *stagePoller) Add(int, poller.Interest, poller.Token) error    { return p.refuse }
func (p *stagePoller) Modify(int, poller.Interest, poller.Token) error { return nil }
func (p *stagePoller) Close() error                                    { return nil }

func (p *stagePoller) Remove(fd int) error {
	p.removed = append(p.removed, fd)
	return nil
}

func (p *stagePoller) Poll(events []poller.Event) (int, error) {
	p.parked = false
	n := copy(events, p.events)
	p.events = p.events[n:]
	return n, nil
}

func (p *stagePoller) Park(events []poller.Event, deadline time.Time) (int, error) {
	p.parking()
	n, err := p.Poll(events)
	p.parked, p.deadline = n == 0, deadline
	p.parks++
	return n, err
}

func (p *stagePoller) Wake() error {
	p.wakes++
	return nil
}

// stageSockets are sockets that exist in memory, with a peer who has sent what
// is in input, and takes room bytes.
type stageSockets struct {
	mu   sync.Mutex
	next int
	all  map[int]*stageSocket

	accepts []syscall.Errno // what Accept returns; then EAGAIN
	closing func(fd int)    // runs before a descriptor is closed
	closed  []int
}

type stageSocket struct {
	input  []byte
	fin    bool // the peer sends no more after input
	failed syscall.Errno
	refuse syscall.Errno // the answer to writes
	room   int           // bytes that the kernel still takes
	output []byte
	finOut int
	linger int
}

func newStageSockets() *stageSockets { return &stageSockets{next: 100, all: map[int]*stageSocket{}} }

func (s *stageSockets) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.all[s.next] = &stageSocket{room: 1 << 30, linger: -1}
	return s.next
}

// of returns the socket behind c, for the test to change.
func (s *stageSockets) of(c *conn) *stageSocket { return s.at(int(c.fd)) }

func (s *stageSockets) at(fd int) *stageSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[fd]
}

func (s *stageSockets) left() (fds []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for fd := range s.all {
		fds = append(fds, fd)
	}
	return fds
}

func (s *stageSockets) Listen(string, string, sock.ListenOptions) (sock.Listener, error) {
	return sock.Listener{FD: s.open(), Addr: &net.TCPAddr{Port: 7}, Inherits: true}, nil
}

func (s *stageSockets) Adopt(net.Listener) (sock.Listener, error) {
	return s.Listen("", "", sock.ListenOptions{})
}

func (s *stageSockets) Accept(int) (int, netip.AddrPort, syscall.Errno) {
	if len(s.accepts) == 0 {
		return -1, netip.AddrPort{}, syscall.EAGAIN
	}
	errno := s.accepts[0]
	s.accepts = s.accepts[1:]
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return s.open(), netip.MustParseAddrPort("192.0.2.1:5555"), 0
}

func (s *stageSockets) Recv(fd int, p []byte) (int, syscall.Errno) {
	c := s.at(fd)
	switch {
	case len(c.input) > 0:
		n := copy(p, c.input)
		c.input = c.input[n:]
		return n, 0
	case c.failed != 0:
		return 0, c.failed
	case c.fin:
		return 0, 0
	}
	return 0, syscall.EAGAIN
}

func (s *stageSockets) Send(fd int, p []byte) (int, syscall.Errno) {
	c := s.at(fd)
	if c.refuse != 0 {
		return 0, c.refuse
	}
	n := min(len(p), c.room)
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	c.room -= n
	c.output = append(c.output, p[:n]...)
	return n, 0
}

func (s *stageSockets) Sendv(fd int, views [][]byte) (int, syscall.Errno) {
	return s.Send(fd, slices.Concat(views...))
}

func (s *stageSockets) ShutdownWrite(fd int) syscall.Errno {
	s.at(fd).finOut++
	return 0
}

func (s *stageSockets) Close(fd int) syscall.Errno {
	if s.closing != nil {
		s.closing(fd)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[fd] == nil {
		panic("a descriptor was closed that is not open")
	}
	delete(s.all, fd)
	s.closed = append(s.closed, fd)
	return 0
}

func (s *stageSockets) SetOption(fd int, o sock.Option, value int) error {
	if o == sock.Linger {
		s.at(fd).linger = value
	}
	return nil
}

func (s *stageSockets) Option(int, sock.Option) (int, error) { return 0, nil }
func (s *stageSockets) LocalAddr(int) net.Addr               { return &net.TCPAddr{Port: 7} }
