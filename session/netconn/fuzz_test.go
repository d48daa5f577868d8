package netconn_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/fuzz"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/netconn"
)

// FuzzConn has somebody read from a Conn, somebody write, and others set deadlines, put back
// what was read, send bytes and FIN, make room and let time pass, as the input says. Time is
// not real, so every deadline can be checked to the instant, and a wait that never ends is found.
func FuzzConn(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			x := newConnTrial(t)
			for c := fuzz.New(data); c.More() && !t.Failed(); {
				x.step(c)
				synctest.Wait()
				x.check()
			}
			x.end()
		})
	})
}

// connTrial is a Conn, with a goroutine for each direction.
type connTrial struct {
	t       *testing.T
	link    *wire
	session *session.Session
	driver  session.Driver
	conn    *netconn.Conn
	in, out *caller

	delivered, read int // bytes in
	wrote           int // bytes out, as far as Write has said
	fin             bool
	closed          bool
}

// caller is who reads or writes: one call at a time.
type caller struct {
	ask      chan []byte
	mu       sync.Mutex
	waits    bool // for a call to return
	n        int
	err      error
	done     bool // it has returned, and nobody has looked
	deadline time.Time
}

func (a *caller) run(call func([]byte) (int, error)) {
	for p := range a.ask {
		n, err := call(p)
		a.mu.Lock()
		a.n, a.err, a.done, a.waits = n, err, true, false
		a.mu.Unlock()
	}
}

// start makes a call, unless one is under way.
func (a *caller) start(p []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waits {
		return false
	}
	a.waits = true
	a.ask <- p
	return true
}

func (a *caller) passed() bool { return !a.deadline.IsZero() && !time.Now().Before(a.deadline) }

func newConnTrial(t *testing.T) *connTrial {
	x := &connTrial{t: t, in: &caller{ask: make(chan []byte, 1)}, out: &caller{ask: make(chan []byte, 1)}}
	x.link = &wire{shared: &transport.Shared{
		Pool: buffer.NewPool(buffer.Config{Debug: true}), UnreadLimit: 1000,
		LowWater: 1000, HighWater: 4000, Cap: 8000, QueuedCap: 1 << 30,
		OnLoop:   func() bool { return false },
		Panicked: func(_ uint64, value any, stack []byte) { t.Errorf("%v\n%s", value, stack) },
	}}
	peer := netip.MustParseAddrPort("192.0.2.1:5555")
	x.session = session.New(1, x.link, peer, time.Now(), session.NewBehaviour(silence{}))
	x.driver = session.Drive(x.session, transport.Key{})
	x.driver.Open()
	x.conn = netconn.New(x.session)
	go x.in.run(x.conn.Read)
	go x.out.run(x.conn.Write)
	return x
}

// silence is a handler that is never to be called: the session is a Conn.
type silence struct{}

func (silence) OnMessage(*session.Session, session.Frame) { panic("a message to the handler") }

func count(from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		at := from + i
		p[i] = byte(at ^ at>>8*7)
	}
	return p
}

func (x *connTrial) step(c fuzz.Choices) {
	switch c.IntN(14) {
	case 0, 1, 2:
		x.in.start(make([]byte, 1+c.IntN(600)))
	case 3, 4:
		x.out.start(count(x.wrote, 1+c.IntN(6000)))
	case 5, 6, 7:
		x.deliver(1 + c.IntN(900))
	case 8:
		x.link.makeRoom(1 + c.IntN(4000))
		x.driver.Writable()
	case 9:
		x.setDeadline(c, x.in, x.conn.SetReadDeadline)
	case 10:
		x.setDeadline(c, x.out, x.conn.SetWriteDeadline)
	case 11:
		time.Sleep(time.Duration(1+c.IntN(30)) * time.Millisecond)
	case 12:
		x.unread(c.IntN(100))
	default:
		switch c.IntN(8) {
		case 0:
			x.fin = true
			x.driver.PeerClosed()
		case 1:
			x.closed = true
			_ = x.conn.Close() // net.ErrClosed
		}
	}
}

func (x *connTrial) deliver(n int) {
	if x.fin || x.session.State() != session.Open {
		return
	}
	segment := x.link.shared.Pool.Get(4096)
	x.driver.Deliver(segment, segment.Bytes()[:copy(segment.Bytes(), count(x.delivered, n))], 0)
	segment.Release()
	x.delivered += n
}

func (x *connTrial) setDeadline(c fuzz.Choices, a *caller, set func(time.Time) error) {
	at := time.Time{}
	if c.IntN(4) > 0 {
		at = time.Now().Add(time.Duration(c.IntN(40)-5) * time.Millisecond)
	}
	err := set(at)
	if x.closed != errors.Is(err, net.ErrClosed) {
		x.t.Errorf("closed: %v; setting a deadline: %v", x.closed, err)
	}
	if err == nil {
		a.deadline = at
	}
}

// unread puts back what was read last. While somebody reads there is nothing to read, and he
// gets it.
func (x *connTrial) unread(n int) {
	n = min(n, x.read)
	if x.conn.Unread(count(x.read-n, n)) == nil {
		x.read -= n
	}
}

// check looks at what has come back, when nobody can get on, and at who still waits.
func (x *connTrial) check() {
	x.checkIn()
	x.checkOut()
}

func (x *connTrial) checkIn() {
	a, t := x.in, x.t
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done {
		if a.waits && (x.closed || x.fin || x.read < x.delivered || a.passed()) {
			t.Errorf("Read waits; closed: %v, FIN: %v, %d of %d bytes, deadline %v, now %v", x.closed, x.fin, x.read, x.delivered, a.deadline, time.Now())
		}
		return
	}
	a.done = false
	switch {
	case a.err == nil:
		x.read += a.n
		if a.n == 0 || x.read > x.delivered {
			t.Errorf("Read %d bytes, %d of %d in all", a.n, x.read, x.delivered)
		}
	case errors.Is(a.err, os.ErrDeadlineExceeded):
		if !a.passed() {
			t.Errorf("Read: %v before %v", a.err, a.deadline)
		}
	case a.err == io.EOF:
		if !x.fin || x.read != x.delivered {
			t.Errorf("Read: %v after %d of %d bytes; FIN: %v", a.err, x.read, x.delivered, x.fin)
		}
	case !x.closed || !errors.Is(a.err, net.ErrClosed):
		t.Errorf("Read: %v; closed: %v", a.err, x.closed)
	}
}

func (x *connTrial) checkOut() {
	a, t := x.out, x.t
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done {
		if a.waits && (x.closed || a.passed() || x.session.Stats().Queued < 1000) {
			t.Errorf("Write waits; closed: %v, deadline %v, now %v, %d bytes queued", x.closed, a.deadline, time.Now(), x.session.Stats().Queued)
		}
		return
	}
	a.done = false
	x.wrote += a.n
	switch {
	case a.err == nil:
	case errors.Is(a.err, os.ErrDeadlineExceeded):
		if !a.passed() {
			t.Errorf("Write: %v before %v", a.err, a.deadline)
		}
	case !x.closed || !errors.Is(a.err, net.ErrClosed):
		t.Errorf("Write: %v; closed: %v", a.err, x.closed)
	}
}

// end closes everything, and checks that who waits does not, and what was written.
func (x *connTrial) end() {
	t := x.t
	x.closed = true
	_ = x.conn.Close() // net.ErrClosed, if it was closed before
	synctest.Wait()
	x.check()
	x.link.makeRoom(1 << 20)
	x.driver.Writable()
	took := x.link.taken()
	if !slices.Equal(took, count(0, len(took))) {
		t.Errorf("the %d bytes that left are others than those written", len(took))
	}
	if len(took) != x.wrote {
		t.Errorf("%d bytes have left, Write says %d", len(took), x.wrote)
	}
	x.driver.Close()
	close(x.in.ask)
	close(x.out.ask)
	if st := x.link.shared.Pool.Stats(); st.InUse != 0 {
		t.Errorf("buffers left: %+v", st)
	}
}

// wire is a descriptor that takes as much as there is room for.
type wire struct {
	shared *transport.Shared

	mu   sync.Mutex
	room int
	took []byte
}

func (p *wire) makeRoom(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room += n
}

func (p *wire) taken() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.took
}

func (p *wire) Sendv(views [][]byte) (n int, errno syscall.Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.room == 0 {
		return 0, syscall.EAGAIN
	}
	for _, v := range views {
		v = v[:min(len(v), p.room)]
		p.took = append(p.took, v...)
		p.room -= len(v)
		n += len(v)
	}
	return n, 0
}

func (p *wire) Send(b []byte) (int, syscall.Errno) { return p.Sendv([][]byte{b}) }
func (*wire) Acquire()                             {}
func (*wire) Release()                             {}
func (*wire) Attend()                              {}
func (*wire) OnLoop() bool                         { return false }
func (*wire) ShutdownWrite() syscall.Errno         { return 0 }
func (*wire) Descriptor() int                      { return -1 }
func (*wire) SetOption(sock.Option, int) error     { return nil }
func (*wire) Option(sock.Option) (int, error)      { return 0, nil }
func (*wire) LocalAddr() net.Addr                  { return &net.TCPAddr{Port: 7} }
func (p *wire) Shared() *transport.Shared          { return p.shared }
