package engine_test

import (
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
)

// An order may reach a loop that has looked for one and is about to sleep.
func TestCloseRightAfterNew(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 100
	}
	for range rounds {
		e, err := engine.New(engine.WithLoops(2), engine.WithLogger(engine.NoLog{}))
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() { closed <- e.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Close does not return: an order was lost")
		}
	}
}
