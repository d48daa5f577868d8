package engine

import (
	"testing"
	"time"
)

// patientWorkers never run anything, and remember how long they were to be waited for.
type patientWorkers struct{ patience []time.Duration }

func (w *patientWorkers) TrySubmit(func()) bool { return false }
func (w *patientWorkers) stop(d time.Duration)  { w.patience = append(w.patience, d) }

// Handlers that were abandoned have had their grace: a second one, when the workers
// are stopped, would take a shutdown beyond 100 ms.
func TestAbandonedHandlersAreNotWaitedForTwice(t *testing.T) {
	for name, c := range map[string]struct {
		running int
		want    time.Duration
	}{"at rest": {0, abandonGrace}, "abandoned": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			w := &patientWorkers{}
			st := newStage(t, WithMode(Pool), WithLoops(1), func(o *options) {
				o.newWorkers = func() (workers, error) { return w, nil }
			})
			st.loop.queue.running = c.running
			st.engine.stopWorkers()
			st.loop.queue.running = 0
			if len(w.patience) != 1 || w.patience[0] != c.want {
				t.Errorf("the workers are waited for %v, want %v", w.patience, c.want)
			}
		})
	}
}
