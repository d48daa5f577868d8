package session_test

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// fakeLink is a descriptor that exists in memory. It records what is asked of
// it, and answers writes by a script: without one it takes everything.
type fakeLink struct {
	shared *transport.Shared

	mu        sync.Mutex
	refs      int
	closed    bool
	attends   int
	calls     [][]byte      // what each write was given
	took      []byte        // what all of them took
	script    []answer      // of the next writes
	otherwise *answer       // of all writes after the script; nil: take everything
	shutdown  int           // FINs sent
	refuseFIN syscall.Errno // the answer to ShutdownWrite
	handedOut bool          // Descriptor was called
	options   map[sock.Option]int
	failing   error // of SetOption and Option
	onLoop    bool  // what OnLoop answers

	// during runs within each write, before it takes anything.
	during func()
}

// answer is what a write returns: it takes at most n bytes, or fails.
type answer struct {
	n     int
	errno syscall.Errno
}

var again = answer{errno: syscall.EAGAIN}

func (f *fakeLink) Acquire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		panic("Acquire of a closed descriptor")
	}
	f.refs++
}

func (f *fakeLink) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refs--
	switch {
	case f.refs < 0:
		panic("Release without Acquire")
	case f.refs == 0:
		f.closed = true
	}
}

func (f *fakeLink) Attend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attends++
}

func (f *fakeLink) OnLoop() bool { return f.onLoop }

func (f *fakeLink) Send(p []byte) (int, syscall.Errno) { return f.Sendv([][]byte{p}) }

func (f *fakeLink) Sendv(views [][]byte) (int, syscall.Errno) {
	if f.during != nil {
		f.during()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refs == 0 {
		panic("write to a closed descriptor")
	}
	var given []byte
	for _, v := range views {
		given = append(given, v...)
	}
	f.calls = append(f.calls, given)
	a := answer{n: len(given)}
	switch {
	case len(f.script) > 0:
		a, f.script = f.script[0], f.script[1:]
	case f.otherwise != nil:
		a = *f.otherwise
	}
	if a.errno != 0 {
		return 0, a.errno
	}
	n := min(a.n, len(given))
	f.took = append(f.took, given[:n]...)
	return n, 0
}

func (f *fakeLink) ShutdownWrite() syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shutdown++
	return f.refuseFIN
}

func (f *fakeLink) Descriptor() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handedOut = true
	return 42
}

func (f *fakeLink) SetOption(o sock.Option, value int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refs < 2 {
		panic("option without a count")
	}
	if f.failing != nil {
		return f.failing
	}
	f.options[o] = value
	return nil
}

func (f *fakeLink) Option(o sock.Option) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refs < 2 {
		panic("option without a count")
	}
	return f.options[o], f.failing
}

func (f *fakeLink) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7} }

func (f *fakeLink) Shared() *transport.Shared { return f.shared }

// set changes what the kernel answers, while others may be writing.
func (f *fakeLink) set(otherwise *answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.otherwise = otherwise
}

// taken returns what the kernel has taken so far.
func (f *fakeLink) taken() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.took)
}

// writes returns how many writes there were since the last call.
func (f *fakeLink) writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.calls)
	f.calls = nil
	return n
}

// attended returns how often Attend was called since the last call.
func (f *fakeLink) attended() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.attends
	f.attends = 0
	return n
}

// parts is a handler of functions, each of which may be nil.
type parts struct {
	open      func(*session.Session)
	message   func(*session.Session, session.Frame)
	peerClose func(*session.Session)
	close     func(*session.Session, error)
}

func (p *parts) OnOpen(s *session.Session) {
	if p.open != nil {
		p.open(s)
	}
}

func (p *parts) OnMessage(s *session.Session, f session.Frame) {
	if p.message != nil {
		p.message(s, f)
	}
}

func (p *parts) OnPeerClose(s *session.Session) {
	if p.peerClose != nil {
		p.peerClose(s)
	}
}

func (p *parts) OnClose(s *session.Session, reason error) {
	if p.close != nil {
		p.close(s, reason)
	}
}

// rig is a session on a fakeLink, driven by the test in place of a loop.
type rig struct {
	t       *testing.T
	link    *fakeLink
	shared  *transport.Shared
	session *session.Session
	driver  session.Driver
	segment *buffer.Segment
	closes  []error // what OnClose got
	panics  []any
	closed  bool
}

const (
	testLow  = 1000
	testHigh = 4000
	testCap  = 10_000
)

var testPeer = netip.MustParseAddrPort("192.0.2.1:5555")

// newRig makes a session in state Connecting. At the end of the test it is
// closed, and nothing may be left of it.
func newRig(t *testing.T, h session.Handler, change ...func(*transport.Shared)) *rig {
	r := &rig{t: t}
	r.shared = &transport.Shared{
		Pool:      buffer.NewPool(buffer.Config{Debug: true}),
		TaskLimit: 3, UnreadLimit: 64 << 10,
		LowWater: testLow, HighWater: testHigh, Cap: testCap, QueuedCap: 1 << 40,
		Panicked: func(_ uint64, value any, stack []byte) {
			if len(stack) == 0 {
				t.Error("a panic without a stack")
			}
			r.panics = append(r.panics, value)
		},
	}
	for _, f := range change {
		f(r.shared)
	}
	if p, ok := h.(*parts); ok {
		inner := p.close
		p.close = func(s *session.Session, reason error) {
			r.closes = append(r.closes, reason)
			if inner != nil {
				inner(s, reason)
			}
		}
	}
	r.link = &fakeLink{shared: r.shared, refs: 1, options: map[sock.Option]int{}}
	r.session = session.New(7, r.link, testPeer, time.Unix(100, 0), session.NewBehaviour(h))
	r.driver = session.Drive(r.session, transport.Key{})
	r.segment = r.shared.Pool.Get(4096)
	t.Cleanup(r.checkNothingLeft)
	return r
}

// openRig makes a session that is open.
func openRig(t *testing.T, h session.Handler, change ...func(*transport.Shared)) *rig {
	r := newRig(t, h, change...)
	r.driver.Open()
	return r
}

// deliver hands p over as the loop does: in the loop's own segment.
func (r *rig) deliver(p string) transport.Status {
	n := copy(r.segment.Bytes(), p)
	return r.driver.Deliver(r.segment, r.segment.Bytes()[:n], 0)
}

// close ends the session as the loop does.
func (r *rig) close() *session.CloseError {
	r.closed = true
	reason, _, _ := r.driver.Close()
	r.link.Release()
	return reason
}

func (r *rig) checkNothingLeft() {
	if !r.closed {
		r.close()
	}
	r.segment.Release()
	if n := r.shared.Queued.Load(); n != 0 {
		r.t.Errorf("%d bytes are still charged to the engine", n)
	}
	if st := r.shared.Pool.Stats(); st.InUse != 0 || st.Segments != 0 {
		r.t.Errorf("buffers left: %+v", st)
	}
	if !r.link.closed {
		r.t.Errorf("%d counts left on the descriptor", r.link.refs)
	}
}

// send fails the test if Send does.
func (r *rig) send(p string) {
	r.t.Helper()
	if err := r.session.Send([]byte(p)); err != nil {
		r.t.Fatalf("Send: %v", err)
	}
}

func (r *rig) wantTaken(want string) {
	r.t.Helper()
	if got := r.link.taken(); got != want {
		r.t.Fatalf("the kernel took %s, want %s", brief(got), brief(want))
	}
}

func (r *rig) wantStatus(want transport.Status) {
	r.t.Helper()
	if got := r.driver.Status(); got != want {
		r.t.Fatalf("status is %08b, want %08b", got, want)
	}
}

func (r *rig) wantWrites(want int) {
	r.t.Helper()
	if got := r.link.writes(); got != want {
		r.t.Fatalf("%d writes, want %d", got, want)
	}
}

func (r *rig) wantAttended(want bool) {
	r.t.Helper()
	if got := r.link.attended(); (got > 0) != want {
		r.t.Fatalf("Attend was called %d times; wanted a call: %v", got, want)
	}
}

// brief is s, or its length and ends if it is long.
func brief(s string) string {
	if len(s) <= 64 {
		return s
	}
	return s[:24] + "…" + s[len(s)-24:] + " (long)"
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || (got != nil) != (want != nil) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}
