package engine

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// A watch is stuck once, after enough looks and time, and not before.
func TestWatchIsStuckOnce(t *testing.T) {
	const limit = 100 * time.Millisecond
	now := time.Unix(1000, 0)
	var w watch
	told := 0
	look := func(mark uint64, after time.Duration) {
		now = now.Add(after)
		w.see([2]uint64{mark}, now)
		if w.stuck(limit, now) {
			told++
		}
	}
	for mark := range uint64(50) {
		look(mark, limit/2) // it gets on
	}
	look(50, 0)
	look(50, time.Hour) // the whole program stood still
	if told != 0 {
		t.Fatalf("told %d times of what got on", told)
	}
	look(51, 0)
	for range 3 * watchLooks {
		look(51, limit/watchLooks)
	}
	if told != 1 {
		t.Errorf("told %d times of what is stuck, want once", told)
	}
	if w.since != now.Add(-3*limit) {
		t.Errorf("stuck since %v before now, want %v", now.Sub(w.since), 3*limit)
	}
}

// An engine with nothing to do leaves its overseer asleep, in every mode.
func TestOverseerSleepsWhenIdle(t *testing.T) {
	for _, mode := range []Mode{Pool, Inline, Single} {
		t.Run(mode.String(), func(t *testing.T) {
			e, err := New(WithMode(mode), WithLogger(NoLog{}))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			l, err := e.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }))
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 3 {
				if _, err := io.WriteString(c, "x"); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				tick := time.NewTicker(time.Millisecond)
				for deadline := time.Now().Add(10 * time.Second); e.overseer.pace.Load() != asleep; <-tick.C {
					if time.Now().After(deadline) {
						t.Fatal("it does not sleep")
					}
				}
				tick.Stop()
			}
		})
	}
}

// While memory is scarce the overseer looks, whatever the loops do, and sleeps afterwards.
func TestOverseerSleepsAfterMemoryWasScarce(t *testing.T) {
	for _, mode := range []Mode{Pool, Inline} {
		t.Run(mode.String(), func(t *testing.T) {
			u := &scarce{}
			e, err := New(WithMode(mode), WithWatchdog(0), WithMemoryLimit(100<<20), WithLogger(NoLog{}), WithDeps(inject.Deps{Memory: u}))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			await := func(what string, holds func() bool) {
				t.Helper()
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for deadline := time.Now().Add(10 * time.Second); !holds(); <-tick.C {
					if time.Now().After(deadline) {
						t.Fatal(what + " does not happen")
					}
				}
			}
			sleeps := func() bool { return e.overseer.pace.Load() == asleep }
			await("sleep", sleeps)
			u.used.Store(99 << 20)
			e.loops[0].mail.knock() // something happens
			await("the last step", func() bool { return e.Stats().Memory.Step == MemoryCloseFattest })
			if sleeps() {
				t.Error("it sleeps while memory is scarce")
			}
			u.used.Store(0)
			await("sleep again", sleeps)
			if st := e.Stats().Memory; st.Step != MemoryNormal {
				t.Errorf("it sleeps in step %v", st.Step)
			}
		})
	}
}

// scarce is an inject.Memory of which all is in use that the test says.
type scarce struct{ used atomic.Int64 }

func (s *scarce) Read() inject.MemoryUse {
	return inject.MemoryUse{Held: s.used.Load(), Firm: s.used.Load()}
}
func (s *scarce) Collect() {}

// Without a watchdog and a memory limit only mode Pool needs an overseer.
func TestWatchdogOff(t *testing.T) {
	for mode, want := range map[Mode]bool{Pool: true, Inline: false} {
		e, err := New(WithMode(mode), WithWatchdog(0), WithMemoryLimit(0), WithLogger(NoLog{}))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.overseer.quit != nil; got != want {
			t.Errorf("mode %v: an overseer: %v, want %v", mode, got, want)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// LoopLag is the longest turn, until it is long ago. What a loop sleeps is not in it.
func TestLoopLagIsTheLongestTurn(t *testing.T) {
	const long = 30 * time.Millisecond
	st := newStage(t)
	sleep := time.Duration(0)
	st.poller.parking = func() { st.clock.set(st.clock.Now().Add(sleep)) }
	lag := func(want time.Duration, when string) {
		t.Helper()
		if got := st.engine.Stats().LoopLag; got != want {
			t.Errorf("%s: a lag of %v, want %v", when, got, want)
		}
	}
	c := st.connect(session.HandlerFunc(func(*session.Session, session.Frame) { st.clock.set(st.clock.Now().Add(long)) }))
	st.loop.turn()
	sleep = time.Second
	st.loop.turn()
	lag(0, "after a sleep")
	st.sockets.of(c).input = []byte("x")
	st.tell(c, poller.Readable)
	sleep = 0
	st.loop.turn()
	st.loop.turn()
	lag(long, "after a long turn")
	sleep = time.Second
	st.loop.turn()
	lag(long, "in the next second")
	sleep = 2 * time.Second
	st.loop.turn()
	lag(0, "long after it")
}

// With very many goroutines their stacks are not taken, and that is said.
func TestStacksAreBounded(t *testing.T) {
	if got := stackOfGoroutine(goroutineID()); !strings.Contains(got, "TestStacksAreBounded") {
		t.Errorf("our own stack is %q", got)
	}
	quit := make(chan struct{})
	defer close(quit)
	for range stackGoroutines {
		go func() { <-quit }()
	}
	if got := stackOfGoroutine(goroutineID()); !strings.HasPrefix(got, "not taken") {
		t.Errorf("with %d goroutines: %q", stackGoroutines, got)
	}
}

// A loop begins to brake, and parks with somebody to read, between the overseer's look and
// its going to sleep: it must not, since nobody else wakes the loop.
func TestBrakeBeforeOverseerSleeps(t *testing.T) {
	r := newRung(t, WithOutboundTotal(rungLimit))
	o := &r.engine.overseer
	o.engine, o.loops, o.outside = r.engine, true, func() {}
	o.watchdog.start(r.engine, 0)
	o.pace.Store(slowly)
	c := r.connect(silent)
	r.hold(c, 3)
	r.loop.turn()
	taken := r.engine.pool.Get(100 << 20)
	defer taken.Release()
	_, busy := o.look(r.clock.Now())
	if busy {
		t.Fatal("it is busy")
	}
	r.ladder.brakeAt.Store(1 << 20) // as this look has found
	r.sockets.of(c).input = []byte("x")
	c.flags &^= paused // as if it were not above its high water
	r.tell(c, poller.Readable)
	r.loop.turn() // reads, brakes
	r.loop.turn() // parks
	if !r.loop.braked || len(r.loop.ready) != 1 || !r.poller.parked {
		t.Fatalf("braked: %v, %d to read, parked: %v", r.loop.braked, len(r.loop.ready), r.poller.parked)
	}
	o.rest(busy)
	if o.pace.Load() == asleep {
		t.Error("the overseer sleeps, and nobody wakes a loop with somebody to read")
	}
}
