package engine

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// silent is a handler that does nothing.
var silent = session.HandlerFunc(func(*session.Session, session.Frame) {})

// watcher is a handler that tells why its sessions ended.
type watcher struct {
	open    func(*session.Session)
	message func(*session.Session, session.Frame)
	reasons []error
}

func (w *watcher) OnOpen(s *session.Session) {
	if w.open != nil {
		w.open(s)
	}
}

func (w *watcher) OnMessage(s *session.Session, f session.Frame) {
	if w.message != nil {
		w.message(s, f)
	}
}

func (w *watcher) OnClose(_ *session.Session, reason error) { w.reasons = append(w.reasons, reason) }

func (w *watcher) wantReason(t *testing.T, want session.Reason) {
	t.Helper()
	if len(w.reasons) != 1 || !errors.Is(w.reasons[0], want) {
		t.Errorf("closed with %v, want %v once", w.reasons, want)
	}
}

// An order that comes between the mailbox of one turn and the wait of the next
// finds the loop awake, so nobody wakes it: it must see for itself.
func TestOrderBeforeParkIsSeen(t *testing.T) {
	st := newStage(t)
	st.loop.turn()
	st.engine.command(orderDrain)
	parks := st.poller.parks
	if _, err := st.loop.wait(); err != nil {
		t.Fatal(err)
	}
	if st.poller.parks != parks {
		t.Error("the loop parks with an order to carry out")
	}
	st.loop.takeMail()
	if !st.loop.finished() {
		t.Error("the order was not carried out")
	}
}

// The same for the last acceptor's end, which loops wait for.
func TestLastAcceptorsEndBeforeParkIsSeen(t *testing.T) {
	st := newStage(t)
	st.engine.openAcceptors.Add(1) // another loop's
	st.engine.command(orderDrain)
	st.loop.turn()
	st.loop.turn()
	if st.loop.finished() {
		t.Fatal("the loop ends while an acceptor may still place connections")
	}
	st.engine.acceptorEnded()
	parks := st.poller.parks
	_, _ = st.loop.wait()
	if st.poller.parks != parks {
		t.Error("the loop parks although it may end")
	}
}

// What a timer marked is closed in the same turn, not when something happens.
func TestExpiredSessionIsClosedWithoutAnEvent(t *testing.T) {
	w := &watcher{}
	st := newStage(t, WithStallTimeout(time.Second), WithFirstMessageTimeout(0))
	c := st.connect(w)
	st.sockets.of(c).room = 0
	if err := c.session.Load().Send([]byte("stuck")); err != nil {
		t.Fatal(err)
	}
	st.pass(2 * time.Second)
	w.wantReason(t, session.ReasonSlowConsumer)
}

func TestLingerEndsWithoutAnEvent(t *testing.T) {
	w := &watcher{}
	st := newStage(t, WithLinger(time.Second))
	c := st.connect(w)
	if err := c.session.Load().Close(); err != nil {
		t.Fatal(err)
	}
	st.pass(900 * time.Millisecond)
	if len(w.reasons) != 0 {
		t.Fatalf("closed too early: %v", w.reasons)
	}
	st.pass(200 * time.Millisecond)
	w.wantReason(t, session.ReasonLocalClose)
}

// Somebody's write found no room, and room came, before the loop knew of the
// first: in a turn in which it also reads that session.
func TestRoomToldBeforeTheLoopListened(t *testing.T) {
	st := newStage(t)
	c := st.connect(silent)
	socket := st.sockets.of(c)
	socket.room = 0
	if err := c.session.Load().Send([]byte("waits")); err != nil { // another goroutine
		t.Fatal(err)
	}
	socket.room = 1 << 20
	socket.input = []byte("x")
	st.tell(c, poller.Readable|poller.Writable) // the only edge there will be
	st.pass(time.Second)
	if got := string(socket.output); got != "waits" {
		t.Errorf("the kernel got %q although it has room", got)
	}
}

// A loop that always finds work lets other threads run now and then, if it is to; one that
// finds none has no need to.
func TestBusyLoopLetsThreadsRun(t *testing.T) {
	for _, every := range []time.Duration{0, 200 * time.Microsecond, 10 * time.Millisecond} {
		t.Run(every.String(), func(t *testing.T) { testYields(t, every) })
	}
}

func testYields(t *testing.T, every time.Duration) {
	st := newStage(t, WithYield(every))
	yields := 0
	st.engine.deps.Yield = func() { yields++ }
	c := st.connect(silent)
	st.pass(time.Second)
	if yields != 0 {
		t.Errorf("%d yields of an idle loop", yields)
	}
	const turns, length = 400, 50 * time.Microsecond
	for range turns {
		st.tell(c, poller.Readable)
		st.loop.turn()
		st.clock.set(st.clock.Now().Add(length))
	}
	want := 0
	if every > 0 {
		want = int(turns * length / every)
	}
	if yields != want {
		t.Errorf("%d yields in %v, want %d", yields, turns*length, want)
	}
}

// Whoever releases the last count closes the descriptor. Until that is done the
// slot must not be given to another connection, whose descriptor it would be.
func TestSlotIsNotFreedUnderTheOneWhoCloses(t *testing.T) {
	st := newStage(t)
	c := st.connect(silent)
	s, id, fd := c.session.Load(), c.id, int(c.fd)
	c.Acquire()   // somebody writes
	s.PauseRead() // the conn is in the mailbox
	c.drive().End(session.ReasonAborted, nil, true)
	st.loop.mark(c)
	st.loop.closeMarked()
	ran := false
	st.sockets.closing = func(int) {
		ran = true
		st.sockets.closing = nil
		st.loop.takeMail() // the loop runs on meanwhile
		if c.id != id {
			t.Error("the slot was freed before the descriptor was closed")
		}
		if fresh := st.connect(silent); fresh == c {
			t.Error("the slot was used again before the descriptor was closed")
		}
	}
	c.Release()
	if !ran || len(st.sockets.closed) != 1 || st.sockets.closed[0] != fd {
		t.Errorf("closed %v, want only %d", st.sockets.closed, fd)
	}
	st.loop.turn()
	if c.id != id+generation {
		t.Error("the slot was not freed")
	}
}

// Releases, attends and the loop at once: each slot is freed once, each
// descriptor closed once.
func TestReleaseRacesWithTheLoop(t *testing.T) {
	st := newStage(t)
	for range 300 {
		c := st.connect(silent)
		s := c.session.Load()
		id := c.id
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 10 {
					s.PauseRead()
					_ = s.LocalAddr()
					s.ResumeRead()
				}
			})
		}
		st.loop.takeMail()
		_ = s.Abort()
		for range 5 {
			st.loop.takeMail()
			st.loop.closeMarked()
		}
		wg.Wait()
		st.loop.takeMail()
		if c.id != id+generation {
			t.Fatal("the slot was not freed once")
		}
	}
}

// A slot that is used again must not remember what the last session had sent.
func TestIdleClockOfAReusedSlot(t *testing.T) {
	st := newStage(t, WithIdleTimeout(time.Second), WithFirstMessageTimeout(0))
	first := st.connect(&watcher{open: func(s *session.Session) { _ = s.Send([]byte("hello")) }})
	st.pass(1500 * time.Millisecond) // notices what was sent
	_ = first.session.Load().Abort()
	st.pass(0)

	w := &watcher{}
	if second := st.connect(w); second != first {
		t.Fatal("the slot was not used again")
	}
	st.pass(1100 * time.Millisecond)
	st.loop.turn()
	if s := st.loop.slots.session(first.id); s != nil && s.State() != session.Draining {
		t.Errorf("still %v after the idle time", s.State())
	}
}

func TestDeadlinesOfAPausedSessionStandStill(t *testing.T) {
	w := &watcher{open: func(s *session.Session) { s.PauseRead() }}
	st := newStage(t, WithIdleTimeout(time.Second), WithFirstMessageTimeout(2*time.Second))
	c := st.connect(w)
	st.sockets.of(c).input = []byte("early")
	st.tell(c, poller.Readable)
	st.pass(10 * time.Second)
	s := st.loop.slots.session(c.id)
	if s == nil || s.State() != session.Open {
		t.Fatal("closed while reading was paused")
	}
	got := 0
	w.message = func(*session.Session, session.Frame) { got++ }
	s.ResumeRead()
	st.pass(500 * time.Millisecond)
	if got != 1 || s.State() != session.Open {
		t.Errorf("%d messages after ResumeRead, state %v", got, s.State())
	}
	st.pass(700 * time.Millisecond)
	if s.State() != session.Draining {
		t.Errorf("state %v after the idle time", s.State())
	}
}

// heldExecutor keeps tasks until the test runs them.
type heldExecutor struct{ tasks []func() }

func (x *heldExecutor) TrySubmit(task func()) bool {
	x.tasks = append(x.tasks, task)
	return true
}

// run does what was submitted so far.
func (x *heldExecutor) run() {
	tasks := x.tasks
	x.tasks = nil
	for _, task := range tasks {
		task()
	}
}

// Nobody runs the handler for hours: its strand is full, reading is paused, and no
// clock runs. The idle time begins when the handler has caught up.
func TestDeadlinesOfAFullStrandStandStill(t *testing.T) {
	w, x := &watcher{}, &heldExecutor{}
	st := newStage(t, WithMode(Pool), WithLoops(1), WithExecutor(x), WithUnread(3),
		WithIdleTimeout(time.Second), WithFirstMessageTimeout(2*time.Second))
	var got []byte
	w.message = func(_ *session.Session, f session.Frame) { got = append(got, f.Bytes()...) }
	c := st.connect(w)
	st.loop.turn()
	x.run() // OnOpen
	s, socket := c.session.Load(), st.sockets.of(c)
	for _, part := range []string{"early ", "and late"} {
		socket.input = append(socket.input, part...)
		st.tell(c, poller.Readable)
		st.pass(3 * time.Hour)
		if s.State() != session.Open || s.Stats().Unread != len("early ") {
			t.Fatalf("state %v with %d bytes unread while nobody runs the handler", s.State(), s.Stats().Unread)
		}
	}
	x.run()
	st.pass(0) // reads on
	x.run()
	if string(got) != "early and late" {
		t.Errorf("%q was handled", got)
	}
	st.pass(900 * time.Millisecond)
	if s.State() != session.Open {
		t.Fatalf("state %v before the idle time is over", s.State())
	}
	st.pass(200 * time.Millisecond)
	if s.State() != session.Draining {
		t.Errorf("state %v after the idle time", s.State())
	}
	_ = s.Abort()
	st.loop.turn()
	x.run() // OnClose
}

// The timer was set for the stall deadline. When output moves again, the idle
// deadline is due before that.
func TestIdleDeadlineAfterAStall(t *testing.T) {
	st := newStage(t, WithIdleTimeout(time.Second), WithStallTimeout(time.Minute), WithFirstMessageTimeout(0))
	c := st.connect(silent)
	s, socket := c.session.Load(), st.sockets.of(c)
	socket.room = 0
	_ = s.Send([]byte("stuck"))
	st.pass(5 * time.Second)
	if s.State() != session.Open {
		t.Fatalf("state %v while the stall deadline rules", s.State())
	}
	socket.room = 1 << 20
	st.tell(c, poller.Writable)
	st.pass(900 * time.Millisecond)
	if s.State() != session.Open || string(socket.output) != "stuck" {
		t.Fatalf("state %v, %q sent", s.State(), socket.output)
	}
	st.pass(300 * time.Millisecond)
	if s.State() != session.Draining {
		t.Errorf("state %v after the idle time", s.State())
	}
}

func TestFirstMessageDeadline(t *testing.T) {
	w := &watcher{}
	st := newStage(t, WithFirstMessageTimeout(time.Second), WithLinger(time.Second))
	c := st.connect(w)
	s := c.session.Load()
	st.pass(990 * time.Millisecond)
	if s.State() != session.Open {
		t.Fatalf("state %v before the deadline", s.State())
	}
	st.pass(50 * time.Millisecond)
	if s.State() != session.Draining {
		t.Fatalf("state %v after the deadline", s.State())
	}
	st.pass(1100 * time.Millisecond)
	w.wantReason(t, session.ReasonFirstMessage)
}

func TestLifetime(t *testing.T) {
	for _, lifetime := range []time.Duration{time.Second, 72 * time.Hour} {
		w := &watcher{}
		st := newStage(t, WithLifetime(lifetime), WithFirstMessageTimeout(0))
		c := st.connect(w)
		s := c.session.Load()
		st.pass(lifetime - 20*time.Millisecond)
		if s.State() != session.Open {
			t.Fatalf("%v: state %v before the deadline", lifetime, s.State())
		}
		st.pass(60 * time.Millisecond)
		if s.State() != session.Draining {
			t.Fatalf("%v: state %v after the deadline", lifetime, s.State())
		}
	}
}

// The longest times must not wrap around to short ones.
func TestHugeDeadlines(t *testing.T) {
	const huge = time.Duration(1<<63 - 1)
	st := newStage(t, WithLifetime(huge), WithIdleTimeout(huge), WithFirstMessageTimeout(huge))
	c := st.connect(silent)
	s := c.session.Load()
	st.pass(24 * time.Hour)
	if s.State() != session.Open {
		t.Errorf("state %v after a day", s.State())
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want tick
	}{
		{1, 2}, {tickLength - 1, 2}, {tickLength, 2}, {tickLength + 1, 3}, {time.Second, 101},
		{1<<63 - 1, maxWait},
	} {
		if got := ticks(c.d); got != c.want {
			t.Errorf("ticks(%v) = %d, want %d", c.d, got, c.want)
		}
	}
}

// Time of the wheel and time of the clock agree, also when ticks have wrapped.
func TestTimeOfTicks(t *testing.T) {
	st := newStage(t)
	l := st.loop
	for _, age := range []time.Duration{0, 3 * time.Millisecond, time.Hour, (1<<32 - 5) * tickLength, (1<<32 + 7) * tickLength} {
		l.now = st.engine.started.Add(age)
		for _, wait := range []tick{1, 100, 1 << 20} {
			at := l.timeOf(l.tickOf(l.now) + wait)
			if lead := at.Sub(l.now); lead <= time.Duration(wait-1)*tickLength || lead > time.Duration(wait)*tickLength {
				t.Errorf("after %v, a tick %d ahead begins in %v", age, wait, lead)
			}
			if l.tickOf(at) != l.tickOf(l.now)+wait || l.tickOf(at.Add(-1)) != l.tickOf(l.now)+wait-1 {
				t.Errorf("after %v, %v is not the begin of its tick", age, at)
			}
		}
	}
}

func TestSegmentIsReplacedWhileSomebodyHoldsIt(t *testing.T) {
	var kept []session.Frame
	st := newStage(t)
	c := st.connect(session.HandlerFunc(func(_ *session.Session, f session.Frame) { kept = append(kept, f.Retain()) }))
	big := bytes.Repeat([]byte("k"), 32<<10)
	for i := range 3 {
		big[0] = byte('0' + i)
		st.sockets.of(c).input = bytes.Clone(big)
		st.tell(c, poller.Readable)
		st.loop.turn()
	}
	for i, f := range kept {
		if f.Bytes()[0] != byte('0'+i) {
			t.Errorf("frame %d was overwritten", i)
		}
		f.Release()
	}
	if len(kept) != 3 {
		t.Errorf("%d frames, want 3", len(kept))
	}
}

func TestStaleEventReachesNobody(t *testing.T) {
	st := newStage(t)
	c := st.connect(silent)
	old := poller.Event{Token: poller.Token(c.id), Ready: poller.Readable | poller.Writable}
	_ = c.session.Load().Abort()
	st.loop.turn()
	st.loop.turn()
	w := &watcher{message: func(*session.Session, session.Frame) { t.Error("a message from nowhere") }}
	if again := st.connect(w); again != c {
		t.Fatal("the slot was not used again")
	}
	st.sockets.of(c).input = []byte("not told of")
	st.poller.events = append(st.poller.events, old)
	st.loop.turn()
	if got := st.engine.Stats().StaleEvents; got != 1 {
		t.Errorf("%d stale events, want 1", got)
	}
}

func TestAbortSendsRST(t *testing.T) {
	st := newStage(t)
	c := st.connect(silent)
	socket := st.sockets.of(c)
	_ = c.session.Load().Abort()
	st.loop.turn()
	if socket.linger != 0 {
		t.Errorf("linger %d, want 0", socket.linger)
	}
}

func TestHandedOutDescriptorIsRemovedFromThePoller(t *testing.T) {
	st := newStage(t)
	plain, handedOut := st.connect(silent), st.connect(silent)
	fd := int(handedOut.fd)
	raw, err := handedOut.session.Load().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(uintptr) {})
	_ = plain.session.Load().Abort()
	_ = handedOut.session.Load().Abort()
	st.loop.turn()
	if got := st.poller.removed; len(got) != 1 || got[0] != fd {
		t.Errorf("removed %v, want only %d", got, fd)
	}
}

// accepting adds an acceptor to the stage's loop.
func (st *stage) accepting(h session.Handler) *acceptor {
	st.t.Helper()
	opened, err := st.sockets.Listen("tcp", "", sock.ListenOptions{})
	if err != nil {
		st.t.Fatal(err)
	}
	a := &acceptor{loop: st.loop, listener: opened, handler: session.NewBehaviour(h), owner: &Listener{}}
	st.engine.openAcceptors.Add(1)
	if err := a.start(); err != nil {
		st.t.Fatal(err)
	}
	return a
}

func TestAcceptBacksOffAndRecovers(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		st := newStage(t)
		a := st.accepting(silent)
		st.sockets.accepts = slices.Repeat([]syscall.Errno{errno}, 9)
		var pauses []time.Duration
		for len(st.sockets.accepts) > 0 {
			st.loop.turn()
			if a.retryAt.IsZero() {
				t.Fatalf("%v: accepts on", errno)
			}
			pauses = append(pauses, a.retryAt.Sub(st.clock.Now()))
			st.loop.turn() // no spin: nothing is tried before the pause is over
			if !st.poller.parked || st.poller.deadline.After(a.retryAt) {
				t.Fatalf("%v: does not park until the pause is over", errno)
			}
			st.clock.set(a.retryAt)
			st.loop.turn() // notices the time
		}
		const ms = time.Millisecond
		want := []time.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 500 * ms, 500 * ms}
		if len(pauses) < len(want) || !slices.Equal(pauses[:len(want)], want) {
			t.Errorf("%v: pauses %v, want %v", errno, pauses, want)
		}
		st.clock.set(st.clock.Now().Add(time.Second))
		st.sockets.accepts = []syscall.Errno{0}
		st.loop.turn()
		st.loop.turn()
		if got := st.engine.Stats(); got.Accepted != 1 || got.AcceptErrors != 9 || got.AcceptPauses != 9 {
			t.Errorf("%v: %d accepted, %d errors, %d pauses", errno, got.Accepted, got.AcceptErrors, got.AcceptPauses)
		}
		if a.backoff != 0 || st.engine.pausedAcceptors.Load() != 0 {
			t.Errorf("%v: still backs off", errno)
		}
	}
}

func TestFreedDescriptorEndsThePause(t *testing.T) {
	st := newStage(t)
	a := st.accepting(silent)
	c := st.connect(silent)
	st.sockets.accepts = []syscall.Errno{syscall.EMFILE, 0}
	st.loop.turn()
	if a.retryAt.IsZero() {
		t.Fatal("does not pause")
	}
	_ = c.session.Load().Abort()
	st.pass(acceptBackoffMin / 2)
	if got := st.engine.Stats().Accepted; got != 1 {
		t.Errorf("%d accepted without a pause after a close, want 1", got)
	}
}

// Acceptors that wait for descriptors are told without the mailbox, which belongs
// to the users' tasks.
func TestFreedDescriptorsTakeNoRoomInTheMailbox(t *testing.T) {
	st := newStage(t, WithMailbox(1))
	st.accepting(silent)
	for range 3 {
		_ = st.connect(silent).session.Load().Abort()
	}
	last := st.connect(silent).session.Load()
	st.sockets.accepts = []syscall.Errno{syscall.EMFILE, 0}
	st.loop.readReady()
	st.loop.takeMail()
	st.loop.closeMarked()
	if err := last.Post(func() {}); err != nil {
		t.Errorf("Post: %v", err)
	}
	st.pass(acceptBackoffMin / 2)
	if got := st.engine.Stats().Accepted; got != 1 {
		t.Errorf("%d accepted after descriptors were freed, want 1", got)
	}
}

func TestAcceptSkipsBadConnections(t *testing.T) {
	st := newStage(t)
	st.accepting(silent)
	st.sockets.accepts = []syscall.Errno{syscall.ECONNABORTED, syscall.EPERM, syscall.EPROTO, syscall.EINTR, 0}
	st.loop.turn()
	if got := st.engine.Stats(); got.Accepted != 1 || got.AcceptErrors != 4 || got.AcceptPauses != 0 {
		t.Errorf("%d accepted, %d errors, %d pauses", got.Accepted, got.AcceptErrors, got.AcceptPauses)
	}
}

func TestDeadListenerIsClosed(t *testing.T) {
	st := newStage(t)
	a := st.accepting(silent)
	st.sockets.accepts = []syscall.Errno{syscall.EBADF}
	st.loop.turn()
	if !a.closed || st.engine.openAcceptors.Load() != 0 {
		t.Error("still listens")
	}
}

// A half-open session whose peer resets does not read any more, so it has to be
// told by the event.
func TestHalfOpenSessionNoticesAReset(t *testing.T) {
	w := &halfOpenWatcher{}
	st := newStage(t, WithHalfOpen())
	c := st.connect(w)
	st.sockets.of(c).fin = true
	st.tell(c, poller.Readable|poller.ReadClosed)
	st.loop.turn()
	if s := c.session.Load(); s == nil || s.State() != session.Open || w.peerCloses != 1 {
		t.Fatalf("not half open; OnPeerClose was called %d times", w.peerCloses)
	}
	st.tell(c, poller.Readable|poller.ReadClosed|poller.HangUp|poller.Failed)
	st.loop.turn()
	w.wantReason(t, session.ReasonPeerReset)
}

// A reset that comes before the FIN is read makes no second event.
func TestHalfOpenSessionNoticesAResetBehindTheFIN(t *testing.T) {
	w := &halfOpenWatcher{}
	st := newStage(t, WithHalfOpen())
	c := st.connect(w)
	st.sockets.of(c).fin = true
	st.tell(c, poller.Readable|poller.ReadClosed|poller.HangUp|poller.Failed)
	st.loop.turn()
	if w.peerCloses != 1 {
		t.Errorf("OnPeerClose was called %d times", w.peerCloses)
	}
	w.wantReason(t, session.ReasonPeerReset)
}

type halfOpenWatcher struct {
	watcher
	peerCloses int
}

func (w *halfOpenWatcher) OnPeerClose(*session.Session) { w.peerCloses++ }

// Stop and Close may give their orders at the same time. The higher one stays.
func TestOrdersOnlyRise(t *testing.T) {
	st := newStage(t)
	st.loop.raise(orderAbort)
	st.loop.raise(orderDrain)
	if order := st.loop.order.Load(); order != orderAbort {
		t.Errorf("order %d, want %d", order, orderAbort)
	}
}

// Somebody who found the session by its id closes it before its loop has opened
// it: it counts neither as opened nor as closed.
func TestSessionClosedBeforeItOpens(t *testing.T) {
	w := &watcher{open: func(*session.Session) { t.Error("OnOpen was called") }}
	st := newStage(t, WithLinger(time.Second))
	k := connection{fd: st.sockets.open(), handler: session.NewBehaviour(w)}
	if err := st.loop.adopt(k, nil); err != nil { // from another loop
		t.Fatal(err)
	}
	for s := range st.engine.Sessions {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	st.pass(2 * time.Second)
	if got := st.engine.Stats(); got.Opened != 0 || got.Sessions != 0 || got.Closed["local_close"] != 0 || len(w.reasons) != 0 {
		t.Errorf("%d opened, %d there, %v closed, OnClose got %v", got.Opened, got.Sessions, got.Closed, w.reasons)
	}
}

func TestOnCloseFindsNoSession(t *testing.T) {
	st := newStage(t)
	var found error
	h := &closeFunc{f: func(s *session.Session) { _, found = st.engine.Session(s.ID()) }}
	c := st.connect(h)
	if _, err := st.engine.Session(c.id); err != nil {
		t.Fatal(err)
	}
	_ = c.session.Load().Abort()
	st.loop.turn()
	if !errors.Is(found, ErrNotFound) {
		t.Errorf("in OnClose the id gives error %v, want ErrNotFound", found)
	}
}

type closeFunc struct{ f func(*session.Session) }

func (c *closeFunc) OnMessage(*session.Session, session.Frame) {}
func (c *closeFunc) OnClose(s *session.Session, reason error)  { c.f(s) }

// Nothing can be written any more, and the peer sends no more: that is the end, also
// if no hang-up is reported.
func TestFINAfterAFailedWriteCloses(t *testing.T) {
	st := newStage(t)
	w := &watcher{message: func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }}
	c := st.connect(w)
	socket := st.sockets.of(c)
	socket.refuse, socket.input, socket.fin = syscall.EPIPE, []byte("x"), true
	st.tell(c, poller.Readable)
	st.loop.turn()
	st.loop.turn()
	w.wantReason(t, session.ReasonPeerReset)
}
