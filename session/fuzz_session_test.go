package session_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/fuzz"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// FuzzSession has a loop, a worker, a kernel and users do with one session what the input
// says, also in the middle of its writes and handlers. Between handlers it may be a Tap for a
// while. What comes in is a stream whose bytes tell where they stand, and so is what goes
// out; both must come whole and in order.
func FuzzSession(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		newTrial(t, fuzz.New(data)).live()
	})
}

// trial is a session, and all who have to do with it.
type trial struct {
	*fakeLink
	t       *testing.T
	c       fuzz.Choices
	session *session.Session
	driver  session.Driver
	segment *buffer.Segment
	depth   int // how many calls lie around what happens now

	// The kernel.
	room   int // bytes
	broken bool
	event  bool // there is room that the loop has not heard of

	// The loop.
	busy, attend, dirty, blocked, marked, closed bool
	over                                         bool // nothing more comes: FIN, or an error

	// The worker.
	due, running bool

	// The handler.
	inside          bool
	opened, closes  int
	peerCloses      int
	posted, ran     int // tasks
	noted, told     int // completions
	owned, released int

	delivered, handled int // bytes in
	accepted           int // bytes out
	tap                *session.Tap
}

func newTrial(t *testing.T, c fuzz.Choices) *trial {
	x := &trial{t: t, c: c}
	shared := &transport.Shared{
		Pool:      buffer.NewPool(buffer.Config{Debug: true}),
		TaskLimit: 3, UnreadLimit: 500, LowWater: 1000, HighWater: 4000, Cap: 8000, QueuedCap: 1 << 40,
		Pooled: c.IntN(2) == 0, HalfOpen: c.IntN(2) == 0,
		OnLoop: func() bool { return false },
		Panicked: func(_ uint64, value any, stack []byte) {
			if !t.Failed() { // else it is the test that ends
				panic(fmt.Sprintf("%v\n%s", value, stack))
			}
		},
	}
	x.fakeLink = &fakeLink{shared: shared, refs: 1}
	x.room = c.IntN(5000)
	var h session.Handler = &parts{open: x.onOpen, message: x.onMessage, peerClose: x.onPeerClose, close: x.onClose}
	if c.IntN(2) == 0 {
		h = &pinger{h.(*parts), x.onPing}
	}
	x.session = session.New(7, x, testPeer, time.Unix(100, 0), session.NewBehaviour(h))
	x.driver = session.Drive(x.session, transport.Key{})
	x.segment = shared.Pool.Get(4096)
	return x
}

// place is the byte that stands at a place of a stream.
func place(at int) byte { return byte(at ^ at>>8*7) }

func pattern(from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = place(from + i)
	}
	return p
}

func (x *trial) check(what string, from int, p []byte) {
	x.t.Helper()
	for i, b := range p {
		if b != place(from+i) {
			x.t.Fatalf("%s: byte %d is %d, want %d", what, from+i, b, place(from+i))
		}
	}
}

func (x *trial) live() {
	for range x.c.IntN(3) {
		x.use() // before it is open
	}
	x.onLoop(func() {
		st, opened := x.driver.Open()
		if x.settle(st); !opened && x.session.State() == session.Connecting {
			x.t.Fatalf("opened: %v, state %v", opened, x.session.State())
		}
	})
	for x.c.More() {
		x.step()
	}
	x.calm()
	if x.session.State() == session.Open && !x.broken {
		if x.handled != x.delivered {
			x.t.Fatalf("%d of %d bytes were handled", x.handled, x.delivered)
		}
		if len(x.took) != x.accepted {
			x.t.Fatalf("the kernel has %d of %d bytes", len(x.took), x.accepted)
		}
	}
	if !x.closed {
		x.onLoop(x.end)
	}
	x.calm()
	x.finish()
}

// finish checks that nothing is left, and that everybody was told.
func (x *trial) finish() {
	t := x.t
	x.check("out", 0, x.took)
	x.segment.Release()
	want := x.opened
	if x.tap != nil {
		want = 0 // handlers are told of nothing
	}
	if x.closes != want {
		t.Fatalf("OnClose came %d times, want %d", x.closes, want)
	}
	if x.posted != x.ran || x.noted != x.told || x.owned != x.released {
		t.Fatalf("%d of %d tasks, %d of %d completions, %d of %d release functions", x.ran, x.posted, x.told, x.noted, x.released, x.owned)
	}
	if x.refs != 0 || x.shared.Queued.Load() != 0 || x.shared.Unread.Load() != 0 {
		t.Fatalf("left: %d counts, %d bytes queued, %d unread", x.refs, x.shared.Queued.Load(), x.shared.Unread.Load())
	}
	if st := x.shared.Pool.Stats(); st.InUse != 0 || st.Segments != 0 {
		t.Fatalf("buffers left: %+v", st)
	}
}

// calm lets all get on until nobody has anything to do.
func (x *trial) calm() {
	x.depth = deepest
	x.session.ResumeRead()
	for rounds := 0; ; rounds++ {
		x.makeRoom(1 << 20)
		busy := x.due || !x.closed && (x.attend || x.dirty || x.marked)
		x.look()
		x.work()
		if x.tap != nil {
			before := x.handled
			x.read(1 << 20)
			busy = busy || x.handled != before
		}
		if x.marked && !x.closed {
			x.onLoop(x.end)
		}
		if !busy {
			return
		}
		if rounds == 1000 {
			x.t.Fatal("it goes on for ever")
		}
	}
}

const deepest = 3

// nested does a few things in the middle of something else.
func (x *trial) nested() {
	if x.depth < deepest && x.c.IntN(3) == 0 {
		x.depth++
		for range 1 + x.c.IntN(2) {
			x.step()
		}
		x.depth--
	}
}

// step is one thing that somebody does.
func (x *trial) step() {
	switch x.c.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		x.use()
	case 6, 7, 8, 9:
		x.deliver(1 + x.c.IntN(700))
	case 10, 11:
		x.makeRoom(1 + x.c.IntN(3000))
	case 12, 13:
		x.look()
	case 14, 15:
		x.work()
	case 16:
		x.onLoop(func() { x.settle(x.driver.Ping()) })
	case 17, 18:
		x.tapped()
	default:
		x.ending()
	}
}

// The users.

func (x *trial) use() {
	s := x.session
	switch x.c.IntN(16) {
	case 0, 1, 2:
		x.send(s.Send)
	case 3, 4:
		number, end := x.noted, 0
		x.noted++
		if !x.send(func(p []byte) error {
			end = x.accepted // p included
			return s.SendNotify(p, func(err error) { x.onDone(number, end, err) })
		}) {
			x.noted--
		}
	case 5:
		if x.send(func(p []byte) error { return s.SendOwned(p, func() { x.released++ }) }) {
			x.owned++
		}
	case 6, 7:
		number := x.posted
		x.posted++
		if err := s.Post(func() { x.onTask(number) }); err != nil {
			x.posted--
			if err != session.ErrClosed && err != session.ErrMailboxFull || err == session.ErrClosed && !x.closed {
				x.t.Fatalf("Post: %v", err)
			}
		}
	case 8:
		s.PauseRead()
	case 9, 10:
		s.ResumeRead()
	case 11:
		s.KeepReading(x.c.IntN(2) == 0)
	case 12, 13:
		_ = s.Flush() // ErrClosed
	case 14:
		if x.c.IntN(4) == 0 {
			_ = s.CloseWrite() // ErrClosed, ErrNotConnected
		}
	default:
		if x.c.IntN(8) == 0 {
			x.send(func(p []byte) error { return s.SendAndClose(p, nil) })
		}
	}
}

// send sends what comes next in the stream. What is refused was not queued.
func (x *trial) send(send func(p []byte) error) bool {
	n := 1 + x.c.IntN(1500)
	x.accepted += n
	err := send(pattern(x.accepted-n, n))
	switch err {
	case nil:
		return true
	case session.ErrBufferFull, session.ErrClosed, session.ErrMailboxFull, session.ErrNotConnected:
	default:
		x.t.Fatalf("sending: %v", err)
	}
	x.accepted -= n
	return false
}

// tapped takes the session from its handler, or acts as whoever did.
func (x *trial) tapped() {
	if x.tap == nil {
		if x.opened == 1 && !x.inside && !x.running && !x.busy && !x.closed && x.c.IntN(2) == 0 {
			x.tap = session.NewTap(x.session, make(chan struct{}, 1), make(chan struct{}, 1), transport.Key{})
		}
		return
	}
	switch x.c.IntN(8) {
	case 0, 1, 2:
		x.read(1 + x.c.IntN(1000))
	case 3, 4:
		x.write()
	case 5:
		n := min(x.c.IntN(200), x.handled)
		if err := x.tap.TryUnread(pattern(x.handled-n, n)); err == nil {
			x.handled -= n
		}
	case 6:
		if x.c.IntN(4) == 0 {
			_ = x.tap.CloseWrite() // ErrFINSent, *CloseError
		}
	default:
		tap := x.tap
		x.tap = nil // it may be called before Return returns
		if err := tap.Return(&parts{open: x.onOpen, message: x.onMessage, peerClose: x.onPeerClose, close: x.onClose}); err != nil {
			x.tap = tap
		}
	}
}

func (x *trial) read(most int) {
	p := make([]byte, most)
	n, err := x.tap.TryRead(p)
	x.check("read", x.handled, p[:n])
	x.handled += n
	var why *session.CloseError
	switch {
	case x.handled > x.delivered:
		x.t.Fatalf("read %d bytes of %d", x.handled, x.delivered)
	case n > 0 && err != nil, err != nil && err != io.EOF && !errors.As(err, &why):
		x.t.Fatalf("TryRead: %d, %v", n, err)
	case err == io.EOF && (!x.over || x.handled != x.delivered):
		x.t.Fatalf("the stream ends after %d of %d bytes; it is over: %v", x.handled, x.delivered, x.over)
	}
}

// write may be interrupted by others who send: what it has then taken comes before theirs, as
// it is queued in one go.
func (x *trial) write() {
	n := 1 + x.c.IntN(1500)
	x.accepted += n // for those who send meanwhile
	took, err := x.tap.TryWrite(pattern(x.accepted-n, n))
	switch {
	case took < 0, took > n, err == nil && took == 0 && x.accepted == len(x.took)+n:
		x.t.Fatalf("TryWrite took %d of %d: %v", took, n, err)
	}
	x.accepted -= n - took
}

// The kernel.

func (x *trial) Attend()                            { x.attend = true }
func (x *trial) OnLoop() bool                       { return true }
func (x *trial) Shared() *transport.Shared          { return x.shared }
func (x *trial) Send(p []byte) (int, syscall.Errno) { return x.Sendv([][]byte{p}) }

func (x *trial) Sendv(views [][]byte) (n int, errno syscall.Errno) {
	x.nested()
	switch {
	case x.refs == 0:
		x.t.Fatal("a write to a closed descriptor")
	case x.shutdown > 0:
		x.t.Fatal("a write behind FIN")
	case x.broken:
		return 0, syscall.ECONNRESET
	case x.room == 0:
		return 0, syscall.EAGAIN
	}
	for _, v := range views {
		v = v[:min(len(v), x.room)]
		x.check("out", len(x.took), v)
		x.took = append(x.took, v...)
		x.room -= len(v)
		n += len(v)
	}
	return n, 0
}

func (x *trial) makeRoom(n int) {
	x.event = x.event || x.room == 0
	x.room += n
}

// The loop.

// onLoop has the loop do something, unless it is at work.
func (x *trial) onLoop(f func()) {
	if !x.busy && !x.closed {
		x.busy = true
		f()
		x.busy = false
	}
}

func (x *trial) deliver(n int) {
	x.onLoop(func() {
		if x.over {
			return
		}
		if x.segment.Shared() {
			x.segment.Release()
			x.segment = x.shared.Pool.Get(4096)
		}
		p := x.segment.Bytes()[:n]
		copy(p, pattern(x.delivered, n))
		if x.session.State() == session.Open {
			x.delivered += n
		}
		x.settle(x.driver.Deliver(x.segment, p, 0))
	})
}

// look does what the loop does in a turn without input.
func (x *trial) look() {
	x.onLoop(func() {
		if x.event {
			x.event = false
			x.dirty = x.dirty || x.blocked
		}
		if x.attend {
			x.attend = false
			x.settle(x.driver.Status())
		}
		if x.dirty {
			x.dirty = false
			x.settle(x.driver.Writable())
		}
	})
}

func (x *trial) settle(st transport.Status) {
	if st&transport.Due != 0 && x.shared.Pooled {
		if x.due {
			x.t.Fatal("asked twice to run the strand")
		}
		x.due = true
	}
	if st&(transport.Aborted|transport.Drained) != 0 {
		x.marked = true
	}
	if st&transport.Failed != 0 && !x.over {
		x.over = true
		x.settle(x.driver.Broken(syscall.EPIPE))
	}
	x.dirty = x.dirty || st&transport.Pending != 0 || st&transport.Blocked != 0 && !x.blocked
	x.blocked = st&transport.Blocked != 0
}

// ending is what ends a session, now and then.
func (x *trial) ending() {
	switch what := x.c.IntN(12); {
	case x.marked:
		x.onLoop(x.end)
	case what == 0 && !x.over:
		x.onLoop(func() {
			x.over = true
			x.settle(x.driver.PeerClosed())
		})
	case what == 1 && !x.over:
		x.broken = true
		x.onLoop(func() {
			x.over = true
			x.settle(x.driver.Broken(syscall.ECONNRESET))
		})
	case what == 2:
		x.onLoop(func() { x.settle(x.driver.End(session.ReasonIdle, nil, x.c.IntN(2) == 0)) })
	case what == 3:
		_ = x.session.Close() // ErrClosed
	case what == 4:
		_ = x.session.Abort()
	case what == 5:
		x.onLoop(func() { x.settle(x.driver.Silent()) })
	}
}

func (x *trial) end() {
	x.closed = true
	_, opened, due := x.driver.Close()
	if opened != (x.opened == 1) && !(opened && x.due) {
		x.t.Fatalf("opened: %v, OnOpen came %d times", opened, x.opened)
	}
	x.due = x.due || due
	x.Release()
}

// work is a worker's turn.
func (x *trial) work() {
	if x.due && !x.running {
		x.running, x.due = true, false
		again := x.driver.Run(x.shared)
		if again && x.due {
			x.t.Fatal("asked to run the strand, which is to be run again")
		}
		x.due = x.due || again
		x.running = false
	}
}

// The handler.

// handle is around each call of a handler.
func (x *trial) handle(what string, f func()) {
	switch {
	case x.inside:
		x.t.Fatalf("%s while a handler runs", what)
	case x.closes > 0:
		x.t.Fatalf("%s after OnClose", what)
	case x.shared.Pooled && !x.running, !x.shared.Pooled && !x.busy:
		x.t.Fatalf("%s where no handlers run", what)
	}
	x.inside = true
	f()
	x.nested()
	x.inside = false
}

func (x *trial) onOpen(*session.Session) {
	x.handle("OnOpen", func() { x.opened++ })
}

func (x *trial) onMessage(_ *session.Session, f session.Frame) {
	x.handle("OnMessage", func() {
		if x.opened != 1 || x.peerCloses > 0 || x.tap != nil {
			x.t.Fatalf("a message; opened %d times, peer closed %d times, tapped: %v", x.opened, x.peerCloses, x.tap != nil)
		}
		x.check("in", x.handled, f.Bytes())
		if x.handled += len(f.Bytes()); x.handled > x.delivered {
			x.t.Fatalf("%d bytes of %d are handled", x.handled, x.delivered)
		}
	})
}

func (x *trial) onPeerClose(*session.Session) {
	x.handle("OnPeerClose", func() {
		if x.peerCloses++; x.peerCloses > 1 || !x.over || x.handled != x.delivered {
			x.t.Fatalf("OnPeerClose number %d after %d of %d bytes", x.peerCloses, x.handled, x.delivered)
		}
	})
}

func (x *trial) onPing(*session.Session) { x.handle("OnPing", func() {}) }

func (x *trial) onTask(number int) {
	x.handle("a task", func() {
		if number != x.ran {
			x.t.Fatalf("task %d runs, want %d", number, x.ran)
		}
		x.ran++
	})
}

func (x *trial) onDone(number, end int, err error) {
	x.handle("a completion", func() {
		if number != x.told || err == nil && len(x.took) < end {
			x.t.Fatalf("completion %d, want %d: %v; %d bytes have left, want %d", number, x.told, err, len(x.took), end)
		}
		x.told++
	})
}

func (x *trial) onClose(_ *session.Session, reason error) {
	x.handle("OnClose", func() {
		var why *session.CloseError
		if x.ran != x.posted || x.told != x.noted || !errors.As(reason, &why) {
			x.t.Fatalf("OnClose: %v; %d of %d tasks, %d of %d completions", reason, x.ran, x.posted, x.told, x.noted)
		}
		x.closes++
	})
}
