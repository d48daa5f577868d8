package engine

import (
	"testing"

	"github.com/weirnet/weir/internal/transport"
)

// What was published before an engine is told to stop is given to everybody, whoever
// holds it at that moment, and however many they are.
func TestStopGivesWhatWasPublishedBefore(t *testing.T) {
	for _, c := range []struct {
		name    string
		members int
		publish func(*Engine) error
		given   func(Stats) uint64
	}{
		{"to a group", 4, sendToGroup, givenByGroups},
		{"to a large group", 4 * castsPerTurn, sendToGroup, givenByGroups},
		{"to all", 4, broadcast, givenToAll},
		{"to very many", 4 * castsPerTurn, broadcast, givenToAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStage(t)
			g := st.engine.Group("g")
			for range c.members {
				member := st.connect(&watcher{})
				st.loop.turn()
				if err := g.Join(member.session.Load()); err != nil {
					t.Fatal(err)
				}
			}
			st.loop.turn()

			// Some other goroutine is about to tell the loop when that is told to stop.
			cork := &st.engine.shared.Cork
			cork.Gather()
			cork.Hold(&transport.Held{Go: func() {
				st.engine.command(orderDrain)
				st.loop.turn()
			}})
			if err := c.publish(st.engine); err != nil {
				t.Fatal(err)
			}
			cork.Release()

			if n := c.given(st.engine.Stats()); n != uint64(c.members) {
				t.Errorf("it was given to %d of %d", n, c.members)
			}
			for member := range st.conns() {
				if s := st.sockets.of(member); string(s.output) != "good bye" || s.finOut != 1 {
					t.Fatalf("the kernel took %q and FIN %d times", s.output, s.finOut)
				}
			}
		})
	}
}

func sendToGroup(e *Engine) error { return e.Group("g").Send([]byte("good bye")) }

func broadcast(e *Engine) error { return e.Broadcast([]byte("good bye")) }

func givenByGroups(st Stats) uint64 { return st.GroupSent.Delivered }

func givenToAll(st Stats) uint64 { return st.Cast }
