package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"
)

// Executor runs handlers on goroutines of its own, in pool mode.
type Executor interface {
	// TrySubmit has task run soon on another goroutine, and returns true; or
	// returns false at once, and task never runs. It must neither block nor run
	// task itself. Loops and workers call it, several at once. A task ends by itself
	// and never panics, but a handler in it may end its goroutine (runtime.Goexit).
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
	quit  chan struct{} // closed when the engine has ended
	ended chan struct{}
	rest  sync.WaitGroup // tasks that run without the pool
	mu    sync.RWMutex   // nothing is put into tasks once quit is closed
}

// feederBacklog is how many tasks wait for a user's pool before it counts as
// having no room. A loop has few under way at once.
const feederBacklog = 64

// feederRetry is how long a feeder waits after a pool that does not block has
// refused.
const feederRetry = time.Millisecond

func newFeeder(pool *ants.Pool) *feeder {
	f := &feeder{
		pool: pool, tasks: make(chan func(), feederBacklog),
		quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go f.feed()
	return f
}

// TrySubmit refuses, too, when the engine has ended: a worker that was abandoned then
// goes on itself.
func (f *feeder) TrySubmit(task func()) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	select {
	case <-f.quit:
		return false
	default:
	}
	select {
	case f.tasks <- task:
		return true
	default:
		return false
	}
}

// feed submits what was taken, until the engine has ended. What is left then runs without
// the pool: it was promised to, and sessions wait for their OnClose.
func (f *feeder) feed() {
	defer close(f.ended)
	defer f.rest.Wait()
	for {
		select {
		case task := <-f.tasks:
			f.submit(task)
		case <-f.quit:
			for len(f.tasks) > 0 {
				f.rest.Go(<-f.tasks)
			}
			return
		}
	}
}

// submit has the pool run task. What a closed pool refuses runs here: it was promised
// to.
func (f *feeder) submit(task func()) {
	retry := time.NewTicker(feederRetry)
	defer retry.Stop()
	for f.pool.Submit(task) != nil {
		if f.pool.IsClosed() {
			task()
			return
		}
		select {
		case <-retry.C:
		case <-f.quit:
			f.rest.Go(task)
			return
		}
	}
}

// stop ends the feeder, and waits for what runs without the pool. If the pool holds it up
// it ends when that lets it go.
func (f *feeder) stop(patience time.Duration) {
	f.mu.Lock()
	close(f.quit)
	f.mu.Unlock()
	select {
	case <-f.ended:
	case <-time.After(patience):
	}
}

// WithPoolSize bounds how many handlers run at once in mode Pool, with workers of the
// engine's own; the default is 256 for each of GOMAXPROCS.
func WithPoolSize(size int) Option {
	return func(o *options) {
		o.atLeastOne("pool size", size, "")
		o.newWorkers = func() (workers, error) { return newAntsWorkers(size) }
	}
}

// WithPool has handlers run in a pool of the caller's in mode Pool, which several
// engines may share. It may be of any kind; the engine does not release it, and it
// must not be released before the engine has ended.
func WithPool(p *ants.Pool) Option {
	return func(o *options) {
		if p == nil {
			o.reject("pool", p, "must not be nil")
		}
		o.newWorkers = func() (workers, error) { return newFeeder(p), nil }
	}
}

// WithExecutor has handlers run by x in mode Pool, which the engine does not end.
func WithExecutor(x Executor) Option {
	return func(o *options) {
		if x == nil {
			o.reject("executor", x, "must not be nil")
		}
		o.newWorkers = func() (workers, error) { return borrowed{x}, nil }
	}
}
