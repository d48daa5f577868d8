package engine

import (
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Something is left for a session's handlers when its loop is about to close it, or has
// just failed to: it is done, and OnClose is called. Before, the loop took the news, and
// told no worker.

// lateExecutor keeps what it is given until the test runs it.
type lateExecutor struct{ tasks []func() }

func (x *lateExecutor) TrySubmit(task func()) bool {
	x.tasks = append(x.tasks, task)
	return true
}

func (x *lateExecutor) run() {
	for len(x.tasks) > 0 {
		task := x.tasks[0]
		x.tasks = x.tasks[1:]
		task()
	}
}

// newPooledStage has a loop whose workers run when the test says so.
func newPooledStage(t *testing.T, opts ...Option) (*stage, *lateExecutor) {
	x := &lateExecutor{}
	return newStage(t, append([]Option{WithMode(Pool), WithLoops(1), WithExecutor(x), WithWatchdog(0)}, opts...)...), x
}

// post leaves a task for s, as another goroutine does.
func post(t *testing.T, s *session.Session, ran *bool) {
	t.Helper()
	if err := s.Post(func() { *ran = true }); err != nil {
		t.Errorf("Post: %v", err)
	}
}

func TestPostBetweenMarkAndClose(t *testing.T) {
	w := &watcher{}
	st, x := newPooledStage(t)
	c := st.connect(w)
	s := c.session.Load()
	st.loop.turn()
	x.run() // OnOpen
	st.loop.turn()
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
	st.loop.takeMail() // 4: marks it
	ran := false
	post(t, s, &ran)
	st.loop.flushDirty()
	st.loop.closeMarked() // 6
	st.loop.handOver()
	x.run()
	st.pass(time.Second)
	x.run()
	if !ran {
		t.Error("the task that was taken did not run")
	}
	w.wantReason(t, session.ReasonAborted)
}

// The kernel takes a message at the same moment as the loop learns of a reset.
func TestWriteEndsBetweenMarkAndClose(t *testing.T) {
	w := &watcher{}
	st, x := newPooledStage(t)
	c := st.connect(w)
	s, socket := c.session.Load(), st.sockets.of(c)
	st.loop.turn()
	x.run() // OnOpen
	st.loop.turn()
	st.loop.sockets = &duringSend{stageSockets: st.sockets, do: func() {
		socket.failed = syscall.ECONNRESET
		st.tell(c, poller.Readable|poller.HangUp|poller.Failed)
		st.loop.expire()
		st.loop.poll()
		st.loop.readReady() // 3: marks it
		st.loop.takeMail()  // 4
	}}
	told := 0
	if err := s.SendNotify([]byte("message"), func(error) { told++ }); err != nil { // another goroutine
		t.Fatal(err)
	}
	st.loop.flushDirty()
	st.loop.closeMarked() // 6
	st.loop.handOver()
	x.run()
	st.pass(time.Second)
	x.run()
	if told != 1 {
		t.Errorf("the completion was called %d times", told)
	}
	w.wantReason(t, session.ReasonPeerReset)
}

// A write of another goroutine takes the error of a reset, and before it has told so the
// loop reads what looks like FIN. The session ends because of the reset all the same.
func TestResetThatAWriteTakes(t *testing.T) {
	w := &watcher{}
	st := newStage(t, WithMode(Inline), WithLoops(1))
	c := st.connect(w)
	s, socket := c.session.Load(), st.sockets.of(c)
	st.loop.turn()
	st.loop.sockets = &duringSend{stageSockets: st.sockets, do: func() {
		socket.fin = true // as reads say when the error has been taken
		st.tell(c, poller.Readable|poller.HangUp)
		for range 3 {
			st.loop.turn()
		}
	}}
	socket.refuse = syscall.ECONNRESET
	if err := s.Send([]byte("message")); err != nil {
		t.Fatal(err)
	}
	st.pass(time.Second)
	w.wantReason(t, session.ReasonPeerReset)
}

// The same with FIN: it is noticed when the write is over.
func TestFINDuringAWrite(t *testing.T) {
	w := &watcher{}
	st := newStage(t, WithMode(Inline), WithLoops(1))
	c := st.connect(w)
	s, socket := c.session.Load(), st.sockets.of(c)
	st.loop.turn()
	st.loop.sockets = &duringSend{stageSockets: st.sockets, do: func() {
		socket.fin = true
		st.tell(c, poller.Readable)
		for range 3 {
			st.loop.turn()
		}
	}}
	if err := s.Send([]byte("message")); err != nil {
		t.Fatal(err)
	}
	st.pass(time.Second)
	w.wantReason(t, session.ReasonPeerClosed)
	if got := string(socket.output); got != "message" || socket.finOut != 1 {
		t.Errorf("sent %q and %d FINs", got, socket.finOut)
	}
}

// duringSend does something once while a write is in the kernel.
type duringSend struct {
	*stageSockets
	do func()
}

func (d *duringSend) Send(fd int, p []byte) (int, syscall.Errno) {
	n, errno := d.stageSockets.Send(fd, p)
	if do := d.do; do != nil {
		d.do = nil
		do()
	}
	return n, errno
}

// Where the loop runs handlers, a task that ends its goroutine then leaves no descriptor.
func TestTaskExitsBetweenMarkAndClose(t *testing.T) {
	w := &watcher{}
	st := newStage(t)
	first, second := st.connect(silent), st.connect(w)
	st.loop.turn()
	doomed := second.session.Load()
	st.sockets.closing = func(int) { // of the first: the second is marked, and not closed yet
		st.sockets.closing = nil
		if err := doomed.Post(runtime.Goexit); err != nil {
			t.Errorf("Post: %v", err)
		}
	}
	_ = first.session.Load().Abort()
	_ = doomed.Abort()
	for range 3 {
		st.turnApart()
	}
	w.wantReason(t, session.ReasonAborted)
	if left := st.sockets.left(); len(left) != 0 {
		t.Errorf("descriptors left: %v", left)
	}
}

// turnApart takes a turn on a goroutine of its own, which the turn may end; the next one
// then goes on as the engine's next goroutine does.
func (st *stage) turnApart() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if st.loop.interrupted {
			st.loop.resume()
		}
		returned := false
		defer func() { st.loop.interrupted = !returned }()
		st.loop.turn()
		returned = true
	}()
	<-ended
}

func TestPostBeforeArmingFails(t *testing.T) {
	w := &watcher{}
	st, x := newPooledStage(t)
	c := st.connectAs(w, connection{local: true})
	s := c.session.Load()
	st.loop.turn()
	x.run() // OnOpen
	st.loop.turn()
	ran := false
	st.loop.poller = &refusingPoller{st.poller, func() { post(t, s, &ran) }}
	st.sockets.of(c).room = 0
	if err := s.Send([]byte("stuck")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		st.pass(time.Second)
		x.run()
	}
	if !ran {
		t.Error("the task that was taken did not run")
	}
	w.wantReason(t, session.ReasonIOError)
}

// refusingPoller refuses to change a registration, and does something before.
type refusingPoller struct {
	*stagePoller
	do func()
}

func (p *refusingPoller) Modify(int, poller.Interest, poller.Token) error {
	p.do()
	return syscall.ENOMEM
}

// Somebody finds a session that is not open yet, and then the poller does not take it.
func TestPostBeforeRegisteringFails(t *testing.T) {
	for name, invited := range map[string]bool{"accepted": false, "dialled": true} {
		t.Run(name, func(t *testing.T) {
			st, x := newPooledStage(t)
			st.poller.refuse = syscall.ENOMEM
			k := connection{fd: st.sockets.open(), handler: session.NewBehaviour(silent)}
			var err error
			if invited {
				_, _, err = st.loop.welcome(k)
			} else {
				err = st.loop.adopt(k, nil) // as another loop does
			}
			if err != nil {
				t.Fatal(err)
			}
			ran, found := false, 0
			st.loop.slots.each(func(s *session.Session) bool { // as Engine.Sessions does
				found++
				post(t, s, &ran)
				return true
			})
			if found != 1 {
				t.Fatalf("%d sessions were found", found)
			}
			for range 2 {
				st.pass(time.Second)
				x.run()
			}
			if !ran {
				t.Error("the task that was taken did not run")
			}
		})
	}
}

// A task ends its goroutine within an errand: the others that were taken with it are done all
// the same, and can be left again.
func TestTaskExitsWithinAnErrand(t *testing.T) {
	st := newStage(t)
	c := st.connect(silent)
	st.loop.turn()
	st.sockets.of(c).room = 0
	s := c.session.Load()
	if err := s.Send(make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	st.loop.turn()
	k := &census{loop: st.loop, relief: &relief{ladder: &st.engine.ladder}}
	k.errand.Run = k.work
	k.sentence = []candidate{{id: c.id, weight: 1, why: &MemoryError{Step: MemoryCloseFattest}}}
	k.stage.Store(censusEnds)
	ran := 0
	other := transport.Errand{Run: func() { ran++ }}
	st.loop.mail.leave(&k.errand)
	st.loop.mail.leave(&other)
	if err := s.Post(runtime.Goexit); err != nil { // it runs when the census ends the session
		t.Fatal(err)
	}
	for range 5 {
		st.turnApart()
	}
	if ran != 1 {
		t.Errorf("the other errand ran %d times", ran)
	}
	st.loop.mail.leave(&other)
	st.loop.turn()
	if ran != 2 {
		t.Error("and it can never be left again")
	}
}

// A task ends the loop's goroutine while a session is given more than it may send at once: it
// is not read on before it may send again.
func TestTaskExitsWhileThrottled(t *testing.T) {
	shown := 0
	w := &watcher{message: func(_ *session.Session, f session.Frame) { shown += f.Len() }}
	st := newStage(t, WithThrottle(), WithByteRate(1000, 1000))
	c := st.connect(w)
	st.turnApart()
	socket := st.sockets.of(c)
	if err := c.session.Load().Post(runtime.Goexit); err != nil {
		t.Fatal(err)
	}
	socket.input = make([]byte, 3000)
	st.tell(c, poller.Readable)
	st.turnApart()
	if len(socket.input) > 0 || !st.loop.interrupted {
		t.Fatalf("%d bytes were not read; interrupted: %v", len(socket.input), st.loop.interrupted)
	}
	socket.input = make([]byte, 10)
	st.turnApart()
	if len(socket.input) == 0 {
		t.Error("read on at once")
	}
	st.pass(time.Second)
	if len(socket.input) == 0 {
		t.Error("read on after a second")
	}
	st.pass(2 * time.Second)
	if len(socket.input) > 0 || shown != 3010 {
		t.Errorf("never read on: %d bytes were shown", shown)
	}
}

// headExits is a codec that ends the goroutine once.
type headExits struct {
	frame.Codec
	once sync.Once
}

func (c *headExits) Head(dst, p []byte) ([]byte, error) {
	c.once.Do(runtime.Goexit)
	return c.Codec.Head(dst, p)
}

// A codec ends the loop's goroutine in the middle of a Broadcast, which goes on.
func TestBroadcastAfterCodecThatExits(t *testing.T) {
	st := newStage(t)
	bad := st.connect(session.Framed(&watcher{}, &headExits{Codec: frame.Default()}))
	good := st.connect(&watcher{})
	st.sockets.of(bad).room, st.sockets.of(good).room = 1000, 1000
	st.turnApart()
	st.turnApart()
	if err := st.loop.engine.Broadcast([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		st.turnApart()
	}
	if got := string(st.sockets.of(good).output); got != "hello" {
		t.Errorf("the other session got %q", got)
	}
	if n := st.loop.engine.shared.Casting.Load(); n != 0 {
		t.Errorf("%d bytes are still under way", n)
	}
}
