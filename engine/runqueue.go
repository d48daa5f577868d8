package engine

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// A runQueue holds a loop's sessions whose handlers have something to do, each at
// most once, until workers take them. The loop adds what a turn made due in one
// go; a worker takes one session after the other, so that a blocked handler holds
// up its own session only.
//
// There is one worker while it keeps up, more if many sessions wait, and still
// more when the overseer sees that those who are there do not get on. Only the overseer,
// too, says that the executor has no room: a worker that has found nothing more to do
// gives up its place here before the executor has it back.
type runQueue struct {
	shared   *transport.Shared
	executor Executor
	work     func() // what workers run; made once
	done     func() // told when the last session is done with; any goroutine

	mu      sync.Mutex
	waiting fifo.Queue[*session.Session]
	workers int    // asked for or at work
	running int    // sessions whose handlers run
	seats   []seat // of the workers at work
	free    []int  // seats that nobody has
	taken   uint64 // sessions taken so far
	seen    uint64 // taken, when the overseer looked last
	left    int    // waiting then
}

// seat is a worker's place in its queue, for the overseer to see what it does.
type seat struct {
	session *session.Session // whose handlers run; nil: none
	run     uint64           // which of those that were taken
	looked  uint64           // the run that slow saw last
}

// mark tells what a seat's worker does, by a number of the run and one of what the handlers
// have done: another after each of them. It is given what it told before.
func (at seat) mark(before [2]uint64) [2]uint64 {
	if at.session == nil {
		return [2]uint64{at.run}
	}
	done, _, ok := session.Drive(at.session, transport.Key{}).Done()
	if !ok && before[0] == at.run {
		done = before[1] // nobody knows better
	}
	return [2]uint64{at.run, done}
}

// standing is what a worker has that has no seat yet.
const standing = -1

const (
	// perWorker is how many sessions wait for each worker before another is asked
	// for, up to maxWorkers. Only the overseer asks for more.
	perWorker  = 32
	maxWorkers = 4

	// gatherRuns is for how many sessions a worker gathers what they send to groups.
	gatherRuns = 32

	// stint is how many sessions a worker takes before it lets others use the
	// executor.
	stint = 256
)

func newRunQueue(shared *transport.Shared, executor Executor, done func()) *runQueue {
	q := &runQueue{shared: shared, executor: executor, done: done}
	q.work = q.drain
	return q
}

// add has sessions run, and asks for workers. If the executor refuses them the overseer
// asks again.
func (q *runQueue) add(due []*session.Session) {
	q.mu.Lock()
	q.waiting.Put(due...)
	want := min((q.waiting.Len()+perWorker-1)/perWorker, maxWorkers) - q.workers
	q.mu.Unlock()
	q.hire(want)
}

// staffed tells whether there is any worker.
func (q *runQueue) staffed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.workers > 0
}

// hire asks the executor for n more workers, and reports whether it had room.
func (q *runQueue) hire(n int) bool {
	for range n {
		q.mu.Lock()
		q.workers++
		q.mu.Unlock()
		if !q.executor.TrySubmit(q.work) {
			q.mu.Lock()
			q.workers--
			q.mu.Unlock()
			return false
		}
	}
	return true
}

// drain is a worker: it runs sessions until none waits.
func (q *runQueue) drain() {
	at, returned := standing, false
	defer func() {
		if !returned {
			q.lose(at)
		}
	}()
	defer crash()
	q.shared.Cork.Gather()
	defer q.shared.Cork.Release()
	for n := 0; ; n++ {
		if n%gatherRuns == gatherRuns-1 {
			q.shared.Cork.Flush()
		}
		if n > 0 && n%stint == 0 && q.executor.TrySubmit(q.work) {
			q.leave(at) // the other one is this one's successor
			returned = true
			return
		}
		var s *session.Session
		if s, at = q.take(at); s == nil {
			returned = true
			return
		}
		again := session.Drive(s, transport.Key{}).Run(q.shared)
		q.finish(at, again)
	}
}

// crash ends the process if a panic has come so far: it is to, by option, and an
// executor might recover it. To be deferred.
func crash() {
	if value := recover(); value != nil {
		stack := debug.Stack()
		go func() { panic(fmt.Sprintf("%v\n\n%s", value, stack)) }()
		select {}
	}
}

// take returns the session that has waited longest, to a worker with this seat, and the
// seat it has from now on; nil, and the worker must end, if none waits.
func (q *runQueue) take(at int) (*session.Session, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.Len() == 0 {
		q.workers--
		q.stand(at)
		return nil, standing
	}
	if at == standing {
		at = q.sit()
	}
	q.taken++
	q.running++
	s := q.waiting.Take()
	q.seats[at] = seat{session: s, run: q.taken}
	return s, at
}

// sit returns a free seat.
func (q *runQueue) sit() (at int) {
	if n := len(q.free); n > 0 {
		at, q.free = q.free[n-1], q.free[:n-1]
		return at
	}
	q.seats = append(q.seats, seat{})
	return len(q.seats) - 1
}

// stand gives a seat back.
func (q *runQueue) stand(at int) {
	if at != standing {
		q.free = append(q.free, at)
	}
}

// leave gives back the seat of a worker whose successor is under way.
func (q *runQueue) leave(at int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stand(at)
}

// finish takes a session from its worker, and puts it back behind the others if it has
// more to do.
func (q *runQueue) finish(at int, again bool) {
	q.mu.Lock()
	s := q.seats[at].session
	q.seats[at].session = nil
	q.running--
	if again {
		q.waiting.Put(s)
	}
	idle := q.running == 0 && q.waiting.Len() == 0
	q.mu.Unlock()
	if idle {
		q.done()
	}
}

// lose is the end of a worker whose goroutine a handler has ended (runtime.Goexit).
// The session goes on with another one; if there is no room for it, as this one still has
// its own, with this one before it ends.
func (q *runQueue) lose(at int) {
	q.finish(at, true)
	q.leave(at)
	if !q.executor.TrySubmit(q.work) {
		q.drain()
	}
}

// seated appends what each seat's worker does, seat by seat.
func (q *runQueue) seated(to []seat) []seat {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append(to, q.seats...)
}

// slowHandlers is how few sessions a worker takes between two looks of the
// overseer when it does not get on.
const slowHandlers = 4

// push is the overseer's look: if sessions wait that waited at the look before, and
// workers do not get on, there are to be twice as many. It reports how many wait, how many run, and false if
// the executor has no room.
func (q *runQueue) push() (waiting, running int, ok bool) {
	q.mu.Lock()
	waiting, running = q.waiting.Len(), q.running
	workers, took := max(q.workers, 1), int(q.taken-q.seen)
	more := 0
	if took < q.left && took < slowHandlers*workers {
		more = min(workers, waiting)
	}
	q.seen, q.left = q.taken, waiting
	q.mu.Unlock()
	return waiting, running, more == 0 || q.hire(more)
}

// slow adds to list the sessions whose handlers have run since the last call.
func (q *runQueue) slow(list []*session.Session) []*session.Session {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.seats {
		at := &q.seats[i]
		if at.session != nil && at.run == at.looked {
			list = append(list, at.session)
		}
		at.looked = at.run
	}
	return list
}

// depth tells how many sessions wait, and how many run.
func (q *runQueue) depth() (waiting, running int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.Len(), q.running
}

// busy tells whether anything waits or runs.
func (q *runQueue) busy() bool {
	waiting, running := q.depth()
	return waiting+running > 0
}

// each returns what waits. It goes on waiting.
func (q *runQueue) each() []*session.Session {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting.All())
}

// withdraw takes away the session that has waited longest, for somebody else to run;
// nil if none waits.
func (q *runQueue) withdraw() *session.Session {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.Len() == 0 {
		return nil
	}
	return q.waiting.Take()
}
