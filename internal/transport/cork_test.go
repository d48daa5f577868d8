package transport

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heldNote is something to hold, that says when it goes.
func heldNote(log *[]string, name string) *Held {
	return &Held{Go: func() { *log = append(*log, name) }}
}

func newCork() *Cork { return &Cork{Holding: func() {}} }

func TestCorkHoldsWhileSomebodyGathers(t *testing.T) {
	var log []string
	c := newCork()
	a, b := heldNote(&log, "a"), heldNote(&log, "b")
	want := func(names ...string) {
		t.Helper()
		if fmt.Sprint(log) != fmt.Sprint(names) {
			t.Errorf("went: %v, want %v", log, names)
		}
		log = nil
	}
	c.Hold(a)
	want("a")
	c.Gather()
	c.Gather()
	c.Hold(b)
	c.Hold(a)
	c.Hold(b)
	want()
	c.Release()
	want("b", "a") // in the order in which they came, each once, and nobody waits for two
	c.Hold(a)
	want()
	c.Flush()
	want("a")
	c.Hold(b)
	c.Release()
	want("b")
	mustBeIdle(t, c)
}

// mustBeIdle checks that nobody gathers, and nothing is held.
func mustBeIdle(t *testing.T, c *Cork) {
	t.Helper()
	if n := c.gathering.Load(); n != 0 || c.held.Load() != nil {
		t.Errorf("%d still gather", n)
	}
}

// What goes may hold again, itself or others, also while it is being let go.
func TestCorkHoldsAgainWhileItLetsGo(t *testing.T) {
	c := newCork()
	n := 0
	var h Held
	h.Go = func() {
		if n++; n < 5 {
			c.Hold(&h)
		}
	}
	c.Gather()
	c.Hold(&h)
	for range 10 {
		c.Flush()
	}
	c.Release()
	if n != 5 {
		t.Errorf("went %d times, want 5", n)
	}
}

// Whatever is left with a cork goes afterwards: never is the last one forgotten, although
// many gather, release and flush at the same time.
func TestCorkForgetsNothing(t *testing.T) {
	const publishers, messages = 4, 20_000
	c := newCork()
	var stop atomic.Bool
	var handlers, all sync.WaitGroup
	for range 2 {
		handlers.Go(func() {
			for !stop.Load() {
				c.Gather()
				runtime.Gosched()
				c.Release()
			}
		})
	}
	for range publishers {
		all.Go(func() {
			var sent, seen atomic.Int64
			h := &Held{Go: func() { seen.Store(sent.Load()) }}
			for i := range int64(messages) {
				sent.Store(i + 1)
				c.Hold(h)
				for began := time.Now(); seen.Load() != i+1; runtime.Gosched() {
					if time.Since(began) > 20*time.Second {
						t.Errorf("message %d is not let go", i)
						return
					}
				}
			}
		})
	}
	all.Wait()
	stop.Store(true)
	handlers.Wait()
	mustBeIdle(t, c)
}
