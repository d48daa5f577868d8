package engine

import (
	"sync/atomic"
	"time"
)

// An overseer looks at the run queues of an engine every millisecond while
// anything waits in them, and asks for more workers where those at work do not get
// on: their handlers block. It sleeps while nothing waits.
type overseer struct {
	engine *Engine
	asleep atomic.Bool
	wake   chan struct{} // nil while it does not run
	quit   chan struct{}
	ended  chan struct{}
}

// overseerTick is how often it looks. A blocked handler holds up others for about
// as long.
const overseerTick = time.Millisecond

// overseerRefresh is after how many looks the Logger is asked for its levels.
const overseerRefresh = 1000

// overseerPatience is how many looks with nothing to see put it to sleep.
const overseerPatience = 20

func (o *overseer) start(e *Engine) {
	if e.executor == nil {
		return
	}
	o.engine = e
	o.wake, o.quit, o.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	o.asleep.Store(true)
	go o.run()
}

// rouse wakes it. Loops call it when they hand over.
func (o *overseer) rouse() {
	if o.asleep.Load() && o.asleep.CompareAndSwap(true, false) {
		o.wake <- struct{}{}
	}
}

// stop ends it, and waits.
func (o *overseer) stop() {
	if o.quit != nil {
		close(o.quit)
		<-o.ended
	}
}

func (o *overseer) run() {
	defer close(o.ended)
	ticker := time.NewTicker(overseerTick)
	defer ticker.Stop()
	for idle, looks := overseerPatience, 0; ; looks++ {
		if looks%overseerRefresh == overseerRefresh-1 {
			o.engine.log.ring.refresh()
		}
		if idle < overseerPatience {
			select {
			case <-ticker.C:
			case <-o.quit:
				return
			}
		} else {
			ticker.Stop()
			select {
			case <-o.wake:
			case <-o.quit:
				return
			}
			ticker.Reset(overseerTick)
			idle = 0
		}
		if o.look() {
			idle = 0
		} else if idle++; idle == overseerPatience {
			o.asleep.Store(true)
			if o.look() && o.asleep.CompareAndSwap(true, false) {
				idle = 0 // something came before it slept
			}
		}
	}
}

// look helps the queues that do not get on, and tells whether any is busy.
func (o *overseer) look() (busy bool) {
	o.engine.shared.Cork.Flush() // what workers gather whose handlers take long
	for _, l := range o.engine.loops {
		waiting, running, ok := l.queue.push()
		busy = busy || waiting+running > 0
		if !ok {
			l.overloaded.Store(true)
			l.mail.knock()
		}
	}
	return busy
}
