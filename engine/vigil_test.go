package engine

import (
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// A turn in which more than one thing takes too long: whatever was told of it before,
// a handler that then blocks is named, each once, and the loop is blamed at most once.
func TestVigilNamesWhatBlocksLaterInTheTurn(t *testing.T) {
	const limit = 100 * time.Millisecond
	const half = watchLooks/2 + 1 // looks
	for name, c := range map[string]struct {
		looks           [3]int // while each of three handlers runs
		handlers, loops uint64
	}{
		"none":                        {[3]int{3, 2, 3}, 0, 0},
		"the first":                   {[3]int{3 * watchLooks, 1, 1}, 1, 0},
		"the loop":                    {[3]int{half, half, 0}, 0, 1},
		"the loop, in a long turn":    {[3]int{half, half, half}, 0, 1},
		"the first and the second":    {[3]int{2 * watchLooks, 3 * watchLooks, 1}, 2, 0},
		"the loop, and then the last": {[3]int{half, half, 5 * watchLooks}, 1, 1},
		"all":                         {[3]int{3 * watchLooks, 3 * watchLooks, 3 * watchLooks}, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			d := &watchdog{}
			d.start(st.engine, limit)
			st.loop.goid.Store(1) // as if it ran
			now := time.Unix(1000, 0)
			var conns []*conn
			for i := range c.looks {
				conns = append(conns, st.connect(&watcher{message: func(*session.Session, session.Frame) {
					for range c.looks[i] {
						d.look(now)
						now = now.Add(d.tick())
					}
				}}))
			}
			st.loop.turn() // opens them
			for _, conn := range conns {
				st.sockets.of(conn).input = []byte("x")
				st.tell(conn, poller.Readable)
			}
			st.loop.turn()
			handlers, loops := st.loop.stats.blockedHandlers.Load(), st.loop.stats.blockedLoops.Load()
			if handlers != c.handlers || loops != c.loops {
				t.Errorf("%d handlers and %d loops were told of, want %d and %d", handlers, loops, c.handlers, c.loops)
			}
		})
	}
}

// The last look before an overseer sleeps may have seen a handler that has returned
// since. Nobody looks again, and so nothing may be said to run.
func TestOverseerSleepsWithNothingAtWork(t *testing.T) {
	x := &heldExecutor{}
	st := newStage(t, WithMode(Pool), WithLoops(1), WithExecutor(x))
	st.loop.goid.Store(1) // as if it ran
	o := &st.engine.overseer
	o.engine, o.watching = st.engine, true
	o.watchdog.start(st.engine, time.Second)
	now := time.Unix(1000, 0)
	c := st.connect(&watcher{message: func(*session.Session, session.Frame) { o.look(now) }})
	st.sockets.of(c).input = []byte("x")
	st.tell(c, poller.Readable)
	st.loop.turn()
	x.run() // OnOpen and the message
	if age(&o.watchdog.handler, now.Add(1)) == 0 {
		t.Fatal("the look did not see the handler")
	}
	st.loop.mail.asleep.Store(true) // as when it parks
	o.rest(false)
	st.loop.mail.asleep.Store(false)
	if o.pace.Load() != asleep {
		t.Fatal("the overseer does not sleep")
	}
	now = now.Add(time.Hour)
	if handler, turn := age(&o.watchdog.handler, now), age(&o.watchdog.turn, now); handler != 0 || turn != 0 {
		t.Errorf("a handler is said to have run for %v, and a turn of the loop for %v", handler, turn)
	}
	_ = c.session.Load().Abort()
	st.loop.turn()
	x.run() // OnClose
}
