package engine

import (
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// A watchdog tells of handlers and loops that do not get on, once for each time that
// one is stuck. It costs them nothing: loops count their turns anyway, queues the
// sessions that are taken, and sessions what their handlers have done. What shows the
// same count at several looks is stuck. So what is told is a lower bound, short by a
// look or two, and a program that was stopped as a whole is not blamed.
type watchdog struct {
	engine *Engine
	limit  time.Duration

	// Any goroutine may read. Of what runs now: since when the oldest was seen, Unix
	// time in nanoseconds; 0 if nothing does.
	handler atomic.Int64
	turn    atomic.Int64

	loops []vigil // in the order of the engine's
	seats []seat  // of the queue that is looked at
}

// watchLooks is how many looks there are within the limit. Half as many must have seen
// what is called stuck.
const watchLooks = 10

// vigil is what a watchdog knows of a loop.
type vigil struct {
	turn    watch   // of the loop
	rest    watch   // of the same turn, since something was told of it last
	suspect suspect // whose handlers ran when half the limit was over
	named   suspect // whose handlers were told of last in this turn
	runs    []watch // of the workers, by seat
}

// suspect is a session, and how much its handlers had done.
type suspect struct {
	session *session.Session
	done    uint64
}

// watch looks at one thing again and again.
type watch struct {
	mark  [2]uint64 // what it was doing
	since time.Time // when it was first seen to
	looks int       // since then; 0: it does nothing
	told  bool
}

// see notes what it is doing.
func (w *watch) see(mark [2]uint64, now time.Time) {
	if w.looks == 0 || mark != w.mark {
		*w = watch{mark: mark, since: now}
	}
	w.looks++
}

// stuck tells, once, whether it has done the same for that long.
func (w *watch) stuck(limit time.Duration, now time.Time) bool {
	if w.told || w.looks <= watchLooks/2 || now.Sub(w.since) < limit {
		return false
	}
	w.told = true
	return true
}

func (d *watchdog) start(e *Engine, limit time.Duration) {
	d.engine, d.limit = e, limit
	d.loops = make([]vigil, len(e.loops))
}

// tick is the time between two looks.
func (d *watchdog) tick() time.Duration { return d.limit / watchLooks }

// look looks at all loops and workers. On the overseer's goroutine.
func (d *watchdog) look(now time.Time) {
	var handler, turn time.Time
	older := func(than *time.Time, w *watch) {
		if than.IsZero() || w.since.Before(*than) {
			*than = w.since
		}
	}
	for i, l := range d.engine.loops {
		w := &d.loops[i]
		if d.lookAtLoop(l, w, now); w.turn.looks > 0 {
			older(&turn, &w.turn)
			if l.queue == nil {
				older(&handler, &w.turn)
			}
		}
		if l.queue == nil {
			continue
		}
		d.lookAtWorkers(l, w, now)
		for i := range w.runs {
			if run := &w.runs[i]; run.looks > 0 {
				older(&handler, run)
			}
		}
	}
	store(&d.handler, handler)
	store(&d.turn, turn)
}

// seeNothing is the look at an engine of which nothing is at work.
func (d *watchdog) seeNothing() {
	d.handler.Store(0)
	d.turn.Store(0)
}

// store keeps a time, 0 for none.
func store(to *atomic.Int64, t time.Time) {
	if t.IsZero() {
		to.Store(0)
	} else {
		to.Store(t.UnixNano())
	}
}

// age is for how long what was stored has lasted.
func age(of *atomic.Int64, now time.Time) time.Duration {
	since := of.Load()
	if since == 0 {
		return 0
	}
	return max(now.Sub(time.Unix(0, since)), 0)
}

// lookAtLoop looks at a loop's turn. If the same handler is at work in the second half
// of the limit it is the one that is stuck, else the loop has too much to do, or does
// not get a processor, which is told once a turn. A handler may still block after that.
func (d *watchdog) lookAtLoop(l *loop, w *vigil, now time.Time) {
	if !l.awake() {
		*w = vigil{runs: w.runs}
		return
	}
	mark := [2]uint64{l.stats.turns.Load()}
	if w.turn.see(mark, now); w.turn.looks == 1 {
		*w = vigil{turn: w.turn, runs: w.runs}
	}
	span := &w.turn
	if w.turn.told {
		span = &w.rest
		span.see(mark, now)
	}
	if span.looks == 1+watchLooks/2 {
		w.suspect = l.atWork()
	}
	if !span.stuck(d.limit, now) {
		return
	}
	s := l.atWork()
	took := now.Sub(span.since)
	stack := func() string { return stackOfGoroutine(l.goid.Load()) }
	switch {
	case s.session != nil && s == w.suspect && s != w.named:
		w.named = s
		d.engine.log.blockedHandler(s.session.ID(), took, stack)
		l.stats.blockedHandlers.Add(1) // whoever sees it finds the event, too
	case span == &w.turn:
		d.engine.log.blockedLoop(l.index, took, stack)
		l.stats.blockedLoops.Add(1)
	}
	w.rest, w.suspect = watch{}, suspect{}
}

// atWork finds the session whose handler runs on the loop. A session that closes has left
// its slot, and where there are workers the others' handlers run there. Elsewhere it looks at
// all of them, about a millisecond for 10,000.
func (l *loop) atWork() (found suspect) {
	look := func(s *session.Session) (more bool) {
		done, atWork, ok := session.Drive(s, transport.Key{}).Done()
		if ok && atWork {
			found = suspect{s, done}
		}
		return found.session == nil
	}
	switch s := l.serves.Load(); {
	case s != nil:
		look(s)
	case l.queue == nil:
		l.slots.each(look)
	}
	return found
}

// lookAtWorkers looks at the handlers that run for a loop's queue.
func (d *watchdog) lookAtWorkers(l *loop, w *vigil, now time.Time) {
	d.seats = l.queue.seated(d.seats[:0])
	for len(w.runs) < len(d.seats) {
		w.runs = append(w.runs, watch{})
	}
	for i, seat := range d.seats {
		run := &w.runs[i]
		if seat.session == nil {
			*run = watch{}
			continue
		}
		run.see(seat.mark(run.mark), now)
		if run.stuck(d.limit, now) {
			s := seat.session
			d.engine.log.blockedHandler(s.ID(), now.Sub(run.since), func() string { return stackOfHandlers(s) })
			l.stats.blockedHandlers.Add(1)
		}
	}
	clear(d.seats)
}
