package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/panjf2000/ants/v2"

	"github.com/weirnet/weir/session"
)

// How long a shutdown whose time is up waits for handlers. The time is the bubble's: it
// passes while everybody waits.

// places is an Executor for as many tasks at a time as it has room for.
type places chan struct{}

func (p places) TrySubmit(task func()) bool {
	select {
	case p <- struct{}{}:
	default:
		return false
	}
	go func() {
		defer func() { <-p }()
		task()
	}()
	return true
}

// closer is a handler whose OnClose does something.
type closer struct {
	session.HandlerFunc
	closed func()
}

func (c closer) OnClose(*session.Session, error) { c.closed() }

// unwoken is a poller that is not woken: it looks again soon.
type unwoken struct{ *stagePoller }

func (unwoken) Wake() error { return nil }

// live has the loop run by itself after a while, in the bubble, and the overseer look.
func (st *stage) live(late time.Duration) {
	p := unwoken{st.poller}
	p.parking = func() { time.Sleep(time.Millisecond) }
	st.loop.poller, st.loop.mail.wake = p, p.Wake
	st.engine.overseer.start(st.engine)
	go func() {
		time.Sleep(late)
		st.loop.run()
	}()
}

// expire shuts down without any time for it, and tells how long that took.
func (st *stage) expire() (took time.Duration, err error) {
	ctx, cancel := context.WithCancel(st.t.Context())
	cancel()
	began := time.Now()
	err = st.engine.Shutdown(ctx)
	return time.Since(began), err
}

func newBubble(t *testing.T, x Executor) *stage {
	return newStage(t, WithMode(Pool), WithLoops(1), WithExecutor(x), WithWatchdog(0), WithMemoryLimit(0))
}

// As long as handlers begin and return it waits for the last OnClose, and abandons nobody:
// each of them takes less than 50 ms, though all of them together take longer.
func TestHandlersThatGetOnAreNotAbandoned(t *testing.T) {
	const takes = 40 * time.Millisecond
	for name, c := range map[string]struct {
		sessions, tasks int
		late            time.Duration // the loop
		least           time.Duration
	}{
		"one began just now":       {sessions: 2, least: 2 * takes},
		"one after the other":      {sessions: 5, least: 5 * takes},
		"tasks of one session":     {sessions: 1, tasks: 4, least: 5 * takes},
		"the loop does not get on": {sessions: 1, late: 3 * abandonGrace, least: 3 * abandonGrace},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newBubble(t, make(places, 1))
				var closed, ran atomic.Int32
				for range c.sessions {
					s := st.connect(closer{closed: func() {
						time.Sleep(takes)
						closed.Add(1)
					}}).session.Load()
					for range c.tasks {
						if err := s.Post(func() { time.Sleep(takes); ran.Add(1) }); err != nil {
							t.Fatal(err)
						}
					}
				}
				st.loop.turn() // opens them
				st.live(c.late)
				took, err := st.expire()
				if !errors.Is(err, context.Canceled) || errors.Is(err, ErrAbandoned) {
					t.Errorf("Shutdown: %v; want context.Canceled, and nobody abandoned", err)
				}
				if n := int(closed.Load()); n != c.sessions {
					t.Errorf("it returned before %d of %d sessions had had their OnClose", c.sessions-n, c.sessions)
				}
				if n := int(ran.Load()); n != c.sessions*c.tasks {
					t.Errorf("%d tasks ran of %d", n, c.sessions*c.tasks)
				}
				if took < c.least {
					t.Errorf("it took %v, want %v at least", took, c.least)
				}
				time.Sleep(time.Hour) // who was left comes to his end
			})
		})
	}
}

// If handlers do not get on it returns, and tells of those that run and of those that wait
// behind them. When they go on, everybody gets OnClose.
func TestHandlersThatWaitAreAbandonedToo(t *testing.T) {
	for name, c := range map[string]struct {
		sessions, running int
		executor          func() (x Executor, release func())
	}{
		"behind one that blocks": {4, 1, func() (Executor, func()) { return make(places, 1), func() {} }},
		"none has begun":         {3, 0, func() (Executor, func()) { x := &lateExecutor{}; return x, x.run }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, release := c.executor()
				st := newBubble(t, x)
				var closed atomic.Int32
				goOn := make(chan struct{})
				for range c.sessions {
					st.connect(closer{closed: func() {
						<-goOn
						closed.Add(1)
					}})
				}
				st.loop.turn() // opens them
				release()
				synctest.Wait()
				st.live(0)
				took, err := st.expire()
				st.wantAbandoned(err, c.running, c.sessions-c.running)
				if took < abandonGrace || took > abandonGrace+abandonGrace/2 {
					t.Errorf("it took %v, want some %v", took, abandonGrace)
				}
				if n := closed.Load(); n != 0 {
					t.Errorf("%d sessions have had their OnClose", n)
				}
				close(goOn)
				release()
				synctest.Wait()
				if n := int(closed.Load()); n != c.sessions {
					t.Errorf("%d sessions got their OnClose in the end, want %d", n, c.sessions)
				}
			})
		})
	}
}

// wantAbandoned checks how many an error says are left.
func (st *stage) wantAbandoned(err error, running, waiting int) {
	st.t.Helper()
	if !errors.Is(err, ErrAbandoned) ||
		!strings.Contains(err.Error(), fmt.Sprint(running, " handlers did not return")) ||
		!strings.Contains(err.Error(), fmt.Sprint(waiting, " sessions wait")) {
		st.t.Errorf("Shutdown: %v; want ErrAbandoned, %d that run and %d that wait", err, running, waiting)
	}
}

// Handlers get on, but there are too many: it does not wait for ever.
func TestWaitForHandlersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions, takes = 100, 40 * time.Millisecond
		st := newBubble(t, make(places, 1))
		var closed atomic.Int32
		for range sessions {
			st.connect(closer{closed: func() {
				time.Sleep(takes)
				closed.Add(1)
			}})
		}
		st.loop.turn() // opens them
		st.live(0)
		took, err := st.expire()
		st.wantAbandoned(err, 1, sessions-1-int(closed.Load()))
		if took < abandonLimit || took > abandonLimit+abandonGrace {
			t.Errorf("it took %v, want some %v", took, abandonLimit)
		}
		time.Sleep(sessions * takes)
		if n := closed.Load(); n != sessions {
			t.Errorf("%d sessions got their OnClose in the end, want %d", n, sessions)
		}
	})
}

// A user's pool is busy with other work. What runs without it in the end is waited for, too.
func TestShutdownWaitsForWhatRunsWithoutThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, err := ants.NewPool(1, ants.WithNonblocking(true))
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Release()
		st := newStage(t, WithMode(Pool), WithLoops(1), WithPool(pool), WithWatchdog(0), WithMemoryLimit(0))
		closed := make(chan struct{}, 1)
		st.connect(closer{closed: func() {
			time.Sleep(abandonGrace / 2)
			closed <- struct{}{}
		}})
		st.loop.turn() // opens it
		synctest.Wait()
		busy := make(chan struct{})
		defer close(busy)
		if err := pool.Submit(func() { <-busy }); err != nil {
			t.Fatal(err)
		}
		st.live(0)
		if _, err := st.expire(); !errors.Is(err, context.Canceled) || errors.Is(err, ErrAbandoned) {
			t.Errorf("Shutdown: %v; want context.Canceled, and nobody abandoned", err)
		}
		if len(closed) != 1 {
			t.Error("it returned before OnClose had")
		}
		time.Sleep(abandonGrace) // who was left comes to his end
	})
}

// full is an Executor that has no room.
type full struct{}

func (full) TrySubmit(func()) bool { return false }

// A loop whose handlers are abandoned does not end with work for which nobody else is there:
// more than one run of the session's strand, and no worker.
func TestAbandonLeavesNobodyWithoutAWorker(t *testing.T) {
	const tasks = 1000
	st := newStage(t, WithMode(Pool), WithLoops(1), WithExecutor(full{}), WithWatchdog(0))
	closed, ran := 0, 0
	s := st.connect(closer{closed: func() { closed++ }}).session.Load()
	for range tasks {
		if err := s.Post(func() { ran++ }); err != nil {
			t.Fatal(err)
		}
	}
	st.engine.command(orderAbort)
	st.engine.command(orderAbandon)
	o := &st.engine.overseer
	o.engine = st.engine
	for n := 0; n < 100 && !st.loop.finished(); n++ {
		st.loop.turn()
		o.look(st.clock.Now())
	}
	if closed != 1 || ran != tasks {
		t.Errorf("the loop ends after %d tasks of %d and %d OnClose", ran, tasks, closed)
	}
}
