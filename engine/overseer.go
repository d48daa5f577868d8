package engine

import (
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/session"
)

// An overseer looks at the loops of an engine and their run queues while any of them
// is busy:
//
//  1. closely, every millisecond, while sessions wait for workers: it asks for more
//     where there is none, or those at work do not get on, since their handlers block;
//     tells the loop if the executor has no room; and has written what slow handlers have
//     sent so far, to their peers and to groups
//  2. slowly while handlers or loops are at work: see watchdog.go; or while memory is
//     scarce: see memory.go
//  3. it sleeps while all loops do and no handler runs
//
// Loops rouse it, which costs them a look at its pace.
type overseer struct {
	engine   *Engine
	watchdog watchdog
	watching bool          // there is a watchdog
	loops    bool          // it is to look while loops are at work
	pace     atomic.Uint32 // closely where it does not run
	outside  func()        // rouses who looks in its place; nil: it does itself
	wake     chan struct{}
	quit     chan struct{} // nil where it does not run
	ended    chan struct{}

	// Its own.
	timer     *time.Timer
	slow      []*session.Session // of one queue
	looked    time.Time          // when the watchdog looked last
	refreshed time.Time          // when the Logger was asked for its levels last
}

// How an overseer looks.
const (
	closely uint32 = iota
	slowly
	asleep
)

const (
	// overseerTick is how often it looks closely. A blocked handler holds up others for
	// about as long.
	overseerTick = time.Millisecond

	// overseerPatience is how many close looks at which no session waits make it look
	// slowly.
	overseerPatience = 20

	// overseerPause is how often it looks slowly without a watchdog.
	overseerPause = 10 * time.Millisecond

	// overseerRefresh is how often the Logger is asked for its levels.
	overseerRefresh = time.Second
)

func (o *overseer) start(e *Engine) {
	if e.deps.Oversee != nil {
		o.hire(e)
		return
	}
	limit := e.options.watchdog
	if e.executor == nil && limit == 0 && !e.ladder.on() {
		return
	}
	o.engine, o.watching = e, limit > 0
	o.loops = o.watching || e.ladder.on()
	o.watchdog.start(e, limit)
	o.wake, o.quit, o.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	o.timer = time.NewTimer(time.Hour)
	o.pace.Store(asleep)
	go o.run()
}

// hire has somebody else decide when to look.
func (o *overseer) hire(e *Engine) {
	o.engine, o.watching = e, e.options.watchdog > 0
	o.loops = o.watching || e.ladder.on()
	o.watchdog.start(e, e.options.watchdog)
	o.outside = e.deps.Oversee(func() bool {
		_, busy := o.look(e.deps.Clock.Now())
		o.rest(busy)
		return o.pace.Load() != asleep
	})
	o.pace.Store(asleep)
}

// rouse makes it look closely. Loops call it when they hand over.
func (o *overseer) rouse() {
	if pace := o.pace.Load(); pace != closely && o.pace.CompareAndSwap(pace, closely) {
		o.ring()
	}
}

// stir keeps it from sleeping. Loops call it in each turn.
func (o *overseer) stir() {
	if o.loops && o.pace.Load() == asleep && o.pace.CompareAndSwap(asleep, slowly) {
		o.ring()
	}
}

// ring tells it that its pace has changed.
func (o *overseer) ring() {
	if o.outside != nil {
		o.outside()
		return
	}
	select {
	case o.wake <- struct{}{}:
	default: // it will find out
	}
}

// stop ends it, and waits.
func (o *overseer) stop() {
	if o.quit != nil {
		close(o.quit)
		<-o.ended
	}
	if o.engine != nil {
		o.engine.ladder.stop()
	}
}

func (o *overseer) run() {
	defer close(o.ended)
	defer o.timer.Stop()
	for calm := 0; ; { // close looks in a row at which no session waited
		before := o.pace.Load()
		if !o.await() {
			return
		}
		waits, busy := o.look(time.Now())
		switch pace := o.pace.Load(); {
		case waits:
			calm = 0
			o.pace.Store(closely)
		case pace == closely && before != closely:
			calm = 1
		case pace == closely && calm < overseerPatience:
			calm++
		default:
			o.rest(busy)
		}
	}
}

// await waits until the next look is due; false at the end.
func (o *overseer) await() bool {
	for {
		switch o.pace.Load() {
		case closely:
			o.timer.Reset(overseerTick)
		case slowly:
			o.timer.Reset(o.pause())
		default:
			o.timer.Stop()
		}
		select {
		case <-o.timer.C:
			return true
		case <-o.wake:
			if o.pace.Load() == closely {
				return true
			}
		case <-o.quit:
			return false
		}
	}
}

// pause is the time between two slow looks.
func (o *overseer) pause() time.Duration {
	switch {
	case !o.watching:
		return overseerPause
	case o.engine.ladder.on():
		return min(o.watchdog.tick(), overseerPause)
	}
	return o.watchdog.tick()
}

// look does all there is to do, and tells whether sessions wait for workers, and
// whether anything is at work.
func (o *overseer) look(now time.Time) (waits, busy bool) {
	o.engine.shared.Cork.Flush() // what is gathered where handlers take long
	for _, l := range o.engine.loops {
		if l.queue == nil {
			continue
		}
		waiting, running, ok := l.queue.push()
		waits, busy = waits || waiting > 0, busy || waiting+running > 0
		if !ok {
			l.overloaded.Store(true)
			l.mail.knock()
		}
		o.slow = l.queue.slow(o.slow[:0])
		for i, s := range o.slow {
			_ = s.Flush() // its peer need not wait for the handler, too; ErrClosed: nothing to send
			o.slow[i] = nil
		}
	}
	if o.watching && now.Sub(o.looked) >= o.watchdog.tick()-overseerTick/2 {
		o.looked = now
		o.watchdog.look(now)
	}
	if now.Sub(o.refreshed) >= overseerRefresh {
		o.refreshed = now
		o.engine.log.ring.refresh()
	}
	o.engine.ladder.look(now)
	return waits, busy || o.loopsAwake() || o.engine.ladder.busy()
}

// rest makes it look slowly, or sleep if nothing is busy, unless something comes before
// it does.
func (o *overseer) rest(busy bool) {
	pace := asleep
	if busy {
		pace = slowly
	}
	o.pace.Store(pace)
	running := o.loopsAwake() || o.engine.ladder.busy() // a loop that brakes may have parked since look
	for _, l := range o.engine.loops {
		if l.queue == nil {
			continue
		}
		waiting, atWork := l.queue.depth()
		running = running || atWork > 0
		if waiting > 0 {
			o.pace.CompareAndSwap(pace, closely)
			return
		}
	}
	if running {
		o.pace.CompareAndSwap(asleep, slowly)
		return
	}
	o.watchdog.seeNothing() // what it saw last has ended; if anything has begun, it will be woken
}

// loopsAwake tells whether a loop is not parked, if that matters.
func (o *overseer) loopsAwake() bool {
	for _, l := range o.engine.loops {
		if o.loops && l.awake() {
			return true
		}
	}
	return false
}

// awake tells whether the loop runs and does not wait for something to do. Any
// goroutine.
func (l *loop) awake() bool { return l.goid.Load() != 0 && !l.mail.asleep.Load() }
