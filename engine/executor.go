package engine

import (
	"fmt"
	"time"

	"github.com/panjf2000/ants/v2"
)

// Executor runs handlers on goroutines of its own, in pool mode.
type Executor interface {
	// TrySubmit has task run soon on another goroutine, and returns true; or
	// returns false at once, and task never runs. It must neither block nor run
	// task itself. Loops and workers call it, several at once. A task ends by itself
	// and never panics.
	TrySubmit(task func()) bool
}

// workers is an Executor that belongs to one engine.
type workers interface {
	Executor

	// stop ends the goroutines that have nothing to do, and waits for the others
	// for a while.
	stop(patience time.Duration)
}

// borrowed is an Executor that the user gave and ends himself.
type borrowed struct{ Executor }

func (borrowed) stop(time.Duration) {}

// antsWorkers is the default: a pool that refuses instead of blocking.
type antsWorkers struct{ pool *ants.Pool }

func newAntsWorkers(size int) (workers, error) {
	pool, err := ants.NewPool(size, ants.WithNonblocking(true))
	if err != nil {
		return nil, fmt.Errorf("engine: pool of %d workers: %w", size, err)
	}
	return antsWorkers{pool}, nil
}

func (w antsWorkers) TrySubmit(task func()) bool { return w.pool.Submit(task) == nil }

func (w antsWorkers) stop(patience time.Duration) {
	_ = w.pool.ReleaseTimeout(patience) // a handler that never returns keeps its worker
}

// feeder is in front of a pool of the user's, which may block its callers.
type feeder struct {
	pool  *ants.Pool
	tasks chan func()
	ended chan struct{}
}

// feederBacklog is how many tasks wait for a user's pool before it counts as
// having no room. A loop has few under way at once.
const feederBacklog = 64

// feederRetry is how long a feeder waits after a pool that does not block has
// refused.
const feederRetry = time.Millisecond

func newFeeder(pool *ants.Pool) *feeder {
	f := &feeder{pool: pool, tasks: make(chan func(), feederBacklog), ended: make(chan struct{})}
	go f.feed()
	return f
}

func (f *feeder) TrySubmit(task func()) bool {
	select {
	case f.tasks <- task:
		return true
	default:
		return false
	}
}

// feed submits what was taken. What a closed pool refuses it runs itself: it was
// promised to run.
func (f *feeder) feed() {
	defer close(f.ended)
	for task := range f.tasks {
		for {
			err := f.pool.Submit(task)
			if err == nil {
				break
			}
			if f.pool.IsClosed() {
				task()
				break
			}
			time.Sleep(feederRetry)
		}
	}
}

func (f *feeder) stop(patience time.Duration) {
	close(f.tasks)
	select {
	case <-f.ended:
	case <-time.After(patience):
	}
}
