package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/panjf2000/ants/v2"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// What mode pool promises beyond the conformance suite: handlers may block.

var pool = engine.WithMode(engine.Pool)

// gate holds handlers until it is opened.
type gate struct {
	entered chan struct{}
	open    chan struct{}
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, 1<<12), open: make(chan struct{})}
}

func (g *gate) pass() {
	g.entered <- struct{}{}
	<-g.open
}

// A handler that blocks holds up its own session only, also when there are many.
func TestBlockedHandlersHoldUpNobody(t *testing.T) {
	const blocked = 100
	g, p := newGate(), newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		if f.Bytes()[0] == '!' {
			g.pass()
		}
		check(t, s.Send(f.Bytes()))
	}
	v := serve(t, "tcp4", p, pool, engine.WithLoops(1))
	var held []stream
	for range blocked {
		c := v.dial()
		_, err := io.WriteString(c, "!")
		must(t, err)
		held = append(held, c)
	}
	for range blocked {
		await(t, "a handler that blocks", g.entered)
	}
	mustEcho(t, v.dial(), "unhurt")
	until(t, "the blocked are counted", func() bool { return v.engine.Stats().Handlers == blocked })
	close(g.open)
	for _, c := range held {
		mustRead(t, c, "!")
	}
}

// Two workers, a hundred handlers that block: all run, whatever the policy says.
func TestFewWorkersManyHandlers(t *testing.T) {
	const workers, conns = 2, 100
	for name, opts := range map[string][]engine.Option{
		"own pool":              {engine.WithPoolSize(workers)},
		"pool that blocks":      {engine.WithPool(newAnts(t, workers, false))},
		"pool that refuses":     {engine.WithPool(newAnts(t, workers, true))},
		"own pool, run inline":  {engine.WithPoolSize(workers), engine.WithOverload(engine.RunInline)},
		"executor that refuses": {engine.WithExecutor(refuser{}), engine.WithOverload(engine.RunInline)},
	} {
		t.Run(name, func(t *testing.T) {
			var running, most atomic.Int32
			p := newProbe()
			p.onMessage = func(s *session.Session, f session.Frame) {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Millisecond) // the handler's work
				running.Add(-1)
				check(t, s.Send(f.Bytes()))
			}
			v := serve(t, "tcp4", p, append(opts, pool, engine.WithLoops(2))...)
			var clients []stream
			for range conns {
				c := v.dial()
				_, err := io.WriteString(c, "job")
				must(t, err)
				clients = append(clients, c)
			}
			for _, c := range clients {
				mustRead(t, c, "job")
			}
			if limit := int32(workers + 2); most.Load() > limit { // two loops may run handlers, too
				t.Errorf("%d handlers at once, want at most %d", most.Load(), limit)
			}
		})
	}
}

// refuser is an executor without room.
type refuser struct{}

func (refuser) TrySubmit(func()) bool { return false }

func newAnts(t *testing.T, size int, nonblocking bool) *ants.Pool {
	t.Helper()
	p, err := ants.NewPool(size, ants.WithNonblocking(nonblocking), ants.WithDisablePurge(true))
	must(t, err)
	t.Cleanup(func() { must(t, p.ReleaseTimeout(patience)) })
	g := newGate()
	for range size { // its goroutines are there before an engine is looked at
		must(t, p.Submit(g.pass))
	}
	for range size {
		await(t, "a worker", g.entered)
	}
	close(g.open)
	return p
}

// Sessions that no worker is found for are closed for that reason, and told so as
// soon as there is one.
func TestRejectClosesWhatFindsNoWorker(t *testing.T) {
	g, p := newGate(), newProbe()
	p.onOpen = func(*session.Session) { g.pass() }
	v := serve(t, "tcp4", p, pool, engine.WithLoops(1), engine.WithPoolSize(1), engine.WithOverload(engine.Reject))
	v.dial()
	await(t, "a handler that blocks", g.entered)
	second := v.dial()
	mustReset(t, second)
	until(t, "the refusal is counted", func() bool { return v.engine.Stats().Overloads > 0 })
	close(g.open)
	v.awaitClose(session.ReasonOverload)
}

// An executor that never runs anything does not keep an engine from its end: loops run
// what is left.
func TestEndWithoutWorkers(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *server){
		"Close":    func(t *testing.T, v *server) { must(t, v.engine.Close()) },
		"Shutdown": func(t *testing.T, v *server) { v.shutdown() },
	} {
		t.Run(name, func(t *testing.T) {
			v := serve(t, "tcp4", newProbe(), pool, engine.WithExecutor(refuser{}))
			c := v.dial()
			_, err := io.WriteString(c, "x")
			must(t, err)
			until(t, "it waits for a worker", func() bool { return v.engine.Stats().Overloads > 0 })
			c.Close()
			end(t, v)
			await(t, "OnOpen", v.probe.opened)
			await(t, "OnClose", v.probe.closed)
		})
	}
}

func TestTwoEnginesShareAPool(t *testing.T) {
	shared := newAnts(t, 2, false)
	var servers []*server
	for range 2 {
		servers = append(servers, serve(t, "tcp4", newProbe(), pool, engine.WithPool(shared)))
	}
	var all sync.WaitGroup
	for _, v := range servers {
		for range 10 {
			c := v.dial()
			all.Go(func() {
				for range 200 {
					message := patternBytes(1, 300)
					_, err := c.Write(message)
					check(t, err)
					got := make([]byte, len(message))
					_, err = io.ReadFull(c, got)
					check(t, err)
					if !bytes.Equal(got, message) {
						t.Error("another echo")
						return
					}
				}
			})
		}
	}
	all.Wait()
}

// Close waits for handlers, but not for ever, and says whom it left behind. Their
// sessions are closed; OnClose comes when they return.
func TestCloseAbandonsHandlers(t *testing.T) {
	g, p := newGate(), newProbe()
	p.onMessage = func(s *session.Session, _ session.Frame) {
		g.pass()
		if err := s.Send([]byte("late")); !errors.Is(err, session.ErrClosed) {
			t.Errorf("Send after the end: %v", err)
		}
	}
	e, err := engine.New(pool, engine.WithLogger(engine.NoLog{}), engine.WithDrainTimeout(20*time.Millisecond))
	must(t, err)
	l, err := e.Listen("tcp4", "127.0.0.1:0", p)
	must(t, err)
	c := dialTo(t, l.Addr())
	_, err = io.WriteString(c, "x")
	must(t, err)
	await(t, "a handler that blocks", g.entered)
	if err := e.Close(); !errors.Is(err, engine.ErrAbandoned) || !strings.Contains(err.Error(), "1 handler") {
		t.Errorf("Close: %v, want ErrAbandoned and how many", err)
	}
	mustReset(t, c)
	close(g.open)
	if got := await(t, "OnClose", p.closed); got.reason.Reason != session.ReasonShutdown {
		t.Errorf("closed because of %v", got.reason)
	}
}

// onePlace is an executor for one task at a time.
type onePlace struct{ taken atomic.Bool }

func (x *onePlace) TrySubmit(task func()) bool {
	if x.taken.Swap(true) {
		return false
	}
	go func() {
		defer x.taken.Store(false)
		task()
	}()
	return true
}

// TestExitOfAnAbandonedHandler: OnClose comes for everybody also when a handler that Close left
// behind ends its goroutine, there is no room for another, and no loop is left to ask for it.
func TestExitOfAnAbandonedHandler(t *testing.T) {
	g, p := newGate(), newProbe()
	p.onMessage = func(*session.Session, session.Frame) {
		g.pass()
		runtime.Goexit()
	}
	e, err := engine.New(pool, engine.WithLoops(1), engine.WithExecutor(new(onePlace)),
		engine.WithLogger(engine.NoLog{}), engine.WithDrainTimeout(20*time.Millisecond))
	must(t, err)
	l, err := e.Listen("tcp4", "127.0.0.1:0", p)
	must(t, err)
	var first stream
	for range 3 {
		c := dialTo(t, l.Addr())
		await(t, "OnOpen", p.opened)
		if first == nil {
			first = c
		}
	}
	_, err = io.WriteString(first, "x")
	must(t, err)
	await(t, "a handler that blocks", g.entered)
	if err := e.Close(); !errors.Is(err, engine.ErrAbandoned) {
		t.Errorf("Close: %v, want ErrAbandoned", err)
	}
	close(g.open)
	for range 3 {
		await(t, "OnClose", p.closed)
	}
}

// A handler may wait for another engine, as long as that is not its own.
func TestHandlerEndsAnotherEngine(t *testing.T) {
	other, err := engine.New(pool, engine.WithLogger(engine.NoLog{}))
	must(t, err)
	defer other.Close()
	p := newProbe()
	v := launch(t, pool)
	v.probe = p
	p.onMessage = func(s *session.Session, f session.Frame) {
		if _, err := other.Listen("tcp4", "127.0.0.1:0", newEcho()); err != nil {
			t.Errorf("Listen of another engine: %v", err)
		}
		if err := other.Close(); err != nil {
			t.Errorf("Close of another engine: %v", err)
		}
		if err := v.engine.Close(); !errors.Is(err, engine.ErrDeadlock) {
			t.Errorf("Close of its own: %v, want ErrDeadlock", err)
		}
		check(t, s.Send(f.Bytes()))
	}
	v.listener = v.listen("tcp4", p)
	mustEcho(t, v.dial(), "x")
}

// A handler knows where it is, however deep it calls.
func TestDeepHandlerKnowsItsEngine(t *testing.T) {
	p := newProbe()
	v := launch(t, pool)
	v.probe = p
	p.onMessage = func(s *session.Session, f session.Frame) {
		if err := deep(1000, v.engine.Close); !errors.Is(err, engine.ErrDeadlock) {
			t.Errorf("Close: %v, want ErrDeadlock", err)
		}
		check(t, s.Send(f.Bytes()))
	}
	v.listener = v.listen("tcp4", p)
	mustEcho(t, v.dial(), "x")
}

// deep calls f n calls below its caller.
func deep(n int, f func() error) error {
	if n == 0 {
		return f()
	}
	err := deep(n-1, f)
	return err
}

// What a peer sent before it hung up is handled, although reading had stopped because
// the handler was behind.
func TestTailIsHandledBehindAHangUp(t *testing.T) {
	g, p := newGate(), newProbe()
	var got atomic.Int64
	p.onMessage = func(_ *session.Session, f session.Frame) {
		if got.Add(int64(f.Len())) == int64(f.Len()) {
			g.pass()
		}
	}
	v := serve(t, "unix", p, pool, engine.WithLoops(1), engine.WithUnread(1))
	c, opened := v.open()
	_, err := c.Write([]byte("x"))
	must(t, err)
	await(t, "the handler", g.entered)
	_, err = c.Write([]byte("ab")) // more than may wait
	must(t, err)
	until(t, "reading stops", func() bool { return opened.Stats().Unread == 2 })
	tail := patternBytes(1, 100<<10)
	_, err = c.Write(tail)
	must(t, err)
	must(t, c.Close())
	_, other := v.open()
	letTurnsPass(t, other) // the loop sees the hang-up
	close(g.open)
	v.awaitClose(session.ReasonPeerClosed)
	if want := int64(3 + len(tail)); got.Load() != want {
		t.Errorf("%d bytes were handled, want %d", got.Load(), want)
	}
}

// Order is kept, whoever runs the handlers.
func TestOrderThroughThePool(t *testing.T) {
	conns, messages := 50, 500
	if *big {
		conns, messages = 1000, 10_000
	}
	p := newProbe()
	v := serve(t, "tcp4", p, pool, engine.WithPoolSize(64))
	var all sync.WaitGroup
	for n := range conns {
		c := v.dial()
		all.Go(func() { checkNumbers(t, c, uint32(n)<<16, messages) })
	}
	all.Wait()
}

// checkNumbers sends numbered messages, as many at once as the kernel takes, and wants
// the same numbers back.
func checkNumbers(t *testing.T, c net.Conn, from uint32, n int) {
	go func() {
		for i := range n {
			if _, err := c.Write(number(from + uint32(i))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	got := make([]byte, len(number(0)))
	for i := range n {
		if _, err := io.ReadFull(c, got); err != nil {
			t.Error(err)
			return
		}
		if !bytes.Equal(got, number(from+uint32(i))) {
			t.Errorf("message %d is %x", i, got)
			return
		}
	}
}

func number(n uint32) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

// late is an executor that keeps what it is given until it is let go.
type late struct {
	mu    sync.Mutex
	holds bool
	tasks []func()
}

func (l *late) TrySubmit(task func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holds {
		l.tasks = append(l.tasks, task)
	} else {
		go task()
	}
	return true
}

func (l *late) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = on
	for _, task := range l.tasks {
		go task()
	}
	l.tasks = nil
}

// The peer has sent FIN, its last message still waits for a worker, and the answer to an
// earlier one goes out with a FIN. Both make a hang-up. That is not a reset, which would
// take the answer from the peer.
func TestHangUpBeforeTheHandlerRunsIsNoReset(t *testing.T) {
	answer := bytes.Repeat([]byte("answer"), 100_000) // more than the peer's window
	workers, p := &late{}, newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {}
	v := serve(t, "tcp4", p, engine.WithExecutor(workers), engine.WithLoops(1))
	c, s := v.open()
	workers.hold(true)
	_, err := io.WriteString(c, "last")
	must(t, err)
	must(t, c.CloseWrite())
	until(t, "the message is read", func() bool { return v.engine.Stats().BytesIn == 4 })
	must(t, s.Send(answer))
	must(t, s.CloseWrite())
	for n := range uint64(2) { // by then the loop has seen the hang-up
		v.dial()
		until(t, "the loop takes another turn", func() bool { return v.engine.Stats().Opened == n+2 })
	}
	workers.hold(false)
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, answer) {
		t.Errorf("the peer got %d bytes and %v, want %d and the end", len(got), err, len(answer))
	}
	if r := v.awaitClose(session.ReasonPeerClosed); r.Unsent != 0 {
		t.Errorf("%d bytes unsent", r.Unsent)
	}
}

// The same for a session that is paused: what it has not read waits for ResumeRead.
func TestHangUpOfAPausedSessionIsNoReset(t *testing.T) {
	p := newProbe()
	messages := make(chan string, 10)
	p.onMessage = func(s *session.Session, f session.Frame) { messages <- string(f.Bytes()) }
	v := serve(t, "tcp4", p, engine.WithLoops(1))
	c, s := v.open()
	s.PauseRead()
	must(t, s.CloseWrite())
	mustEnd(t, c)
	_, err := io.WriteString(c, "last")
	must(t, err)
	must(t, c.CloseWrite())
	for n := range uint64(2) { // by then the loop has seen the hang-up
		v.dial()
		until(t, "the loop takes another turn", func() bool { return v.engine.Stats().Opened == n+2 })
	}
	s.ResumeRead()
	if got := await(t, "the last message", messages); got != "last" {
		t.Errorf("got %q", got)
	}
	v.awaitClose(session.ReasonPeerClosed)
}

// TestOnCloseWhileAUsersPoolIsBusy: a user's pool is busy with other work when the engine ends.
// What it was to run runs without it then.
func TestOnCloseWhileAUsersPoolIsBusy(t *testing.T) {
	workers, err := ants.NewPool(1, ants.WithNonblocking(true))
	must(t, err)
	defer workers.Release()
	closed := make(chan struct{}, 1)
	p := newProbe()
	p.onClose = func(*session.Session, *session.CloseError) { closed <- struct{}{} }
	e, err := engine.New(engine.WithLoops(1), engine.WithLogger(engine.NoLog{}), engine.WithPool(workers), engine.WithDrainTimeout(100*time.Millisecond))
	must(t, err)
	l, err := e.Listen("tcp4", "127.0.0.1:0", p)
	must(t, err)
	c, err := net.Dial("tcp4", l.Addr().String())
	must(t, err)
	defer c.Close()
	until(t, "the session is open", func() bool { return e.Stats().Opened == 1 })
	busy := make(chan struct{})
	defer close(busy)
	until(t, "the worker is free", func() bool { return workers.Submit(func() { <-busy }) == nil })
	must(t, e.Close())
	await(t, "OnClose", closed)
}
