package engine

import (
	"testing"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// onTheWay is an Executor whose worker is back some time after the task has ended: when the
// test says so.
type onTheWay struct{ away bool }

func (x *onTheWay) TrySubmit(task func()) bool {
	if x.away {
		return false
	}
	task()
	return true
}

// The only worker has given up its place in the queue, and the executor does not have it
// back yet, when the next message comes: that is not an executor without room. One that
// still has none when the overseer has looked twice is.
func TestWorkerOnItsWayBackIsNoOverload(t *testing.T) {
	for _, policy := range []Overload{PauseReads, RunInline, Reject} {
		for name, back := range map[string]bool{"it comes back": true, "it does not": false} {
			t.Run(policy.String()+", "+name, func(t *testing.T) {
				x, w := &onTheWay{}, &watcher{}
				st := newStage(t, WithMode(Pool), WithLoops(1), WithExecutor(x), WithOverload(policy), WithWatchdog(0))
				o := &st.engine.overseer
				o.engine = st.engine
				got := 0
				w.message = func(_ *session.Session, f session.Frame) { got += f.Len() }
				c := st.connect(w)
				st.loop.turn() // OnOpen
				x.away = true
				o.look(st.clock.Now())
				st.sockets.of(c).input = []byte("x")
				st.tell(c, poller.Readable)
				st.loop.turn()
				o.look(st.clock.Now())
				st.loop.turn()
				if n := st.loop.stats.overloads.Load(); n != 0 || got != 0 || len(w.reasons) != 0 {
					t.Errorf("%d overloads, %d bytes were handled, and the session is closed because of %v", n, got, w.reasons)
				}
				x.away = !back
				o.look(st.clock.Now())
				st.loop.turn()
				n := st.loop.stats.overloads.Load()
				waiting, _ := st.loop.queue.depth()
				switch {
				case back:
					if n != 0 || got != 1 || len(w.reasons) != 0 {
						t.Errorf("%d overloads, %d bytes were handled, and the session is closed because of %v", n, got, w.reasons)
					}
				case n != 1 || (got == 1) != (policy == RunInline) || (waiting == 1) != (policy != RunInline):
					t.Errorf("%d overloads, %d bytes were handled and %d sessions wait", n, got, waiting)
				}
				x.away = false
				o.look(st.clock.Now())
			})
		}
	}
}
