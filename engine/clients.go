package engine

import (
	"cmp"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// clients are those of one engine.
type clients struct {
	engine    *Engine
	connector connector

	mu      sync.Mutex
	all     map[*Client]uint64 // until they have ended; which ones are older
	made    uint64
	stopped bool               // the engine ends: there will be no more
	gone    chan struct{}      // closed when it has stopped, and all have ended
	callers map[uint64]*Client // goroutines of clients that call functions of theirs

	unsent atomic.Uint64 // bytes that no session had
}

// clientPatience is how long the end of an engine waits for functions of clients that have
// not returned, and dials that do not obey their context.
const clientPatience = time.Second

func (x *clients) start(e *Engine) {
	x.engine = e
	x.connector.start(x, e.options.connects)
	x.all, x.callers, x.gone = make(map[*Client]uint64), make(map[uint64]*Client), make(chan struct{})
}

func (x *clients) add(c *Client) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stopped {
		return ErrStopped
	}
	x.made++
	x.all[c] = x.made
	return nil
}

// remove forgets c, and says that it has ended: whoever learns that finds it gone, and so
// does the end of the engine.
func (x *clients) remove(c *Client) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.all, c)
	close(c.ended)
	if x.stopped && len(x.all) == 0 {
		close(x.gone)
	}
}

func (x *clients) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.all)
}

// stop has all of them end, the oldest first, since the engine does. Their sessions are
// ended by the loops. It does not wait.
func (x *clients) stop() {
	x.mu.Lock()
	if x.stopped {
		x.mu.Unlock()
		return
	}
	x.stopped = true
	all := slices.SortedFunc(maps.Keys(x.all), func(a, b *Client) int { return cmp.Compare(x.all[a], x.all[b]) })
	if len(all) == 0 {
		close(x.gone)
	}
	x.mu.Unlock()
	for _, c := range all {
		_, _ = c.stop(ErrStopped) // an error: it was closed, which is what is wanted
	}
}

// await waits for their end, as long as is decent: those whose handlers have been
// abandoned do not end.
func (x *clients) await() {
	patience := clientPatience
	if _, running := x.engine.handlers(); running > 0 {
		patience = 0
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-x.gone:
	case <-timer.C:
	}
}

// after calls f on a goroutine of its own; see inject.Deps.
func (x *clients) after(d time.Duration, f func()) (stop func() bool) {
	return x.engine.deps.AfterFunc(d, f)
}

// call is protect for a function of c on a goroutine that no handler runs on. Whoever
// would wait for it can see it in callers.
func (x *clients) call(c *Client, f, then func()) {
	id := goroutineID()
	x.mu.Lock()
	x.callers[id] = c
	x.mu.Unlock()
	x.engine.protect(f, func() {
		x.mu.Lock()
		delete(x.callers, id)
		x.mu.Unlock()
		then()
	})
}

// caller returns whose function is calling; nil if none is.
func (x *clients) caller() *Client {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.callers) == 0 {
		return nil
	}
	return x.callers[goroutineID()]
}

// protect calls f, a function of the user's, and then does what follows, whatever becomes
// of f: a panic is logged, or ends the process if it is to, and also if f ends the
// goroutine the rest is done, on what is left of it.
func (e *Engine) protect(f, then func()) {
	returned := false
	defer then()
	defer func() {
		if returned {
			return
		}
		value := recover()
		switch {
		case value == nil:
			value = "runtime.Goexit was called"
		case e.options.crash:
			panic(value)
		}
		e.log.panicked(0, value, debug.Stack())
	}()
	f()
	returned = true
}

// tellAll tells completions one after the other, and then does what follows.
func (e *Engine) tellAll(all []refusal, then func()) {
	told := 0
	defer func() {
		if told < len(all) {
			e.tellAll(all[told:], then) // one has ended the goroutine
			return
		}
		then()
	}()
	for told < len(all) {
		r := all[told]
		told++
		e.protect(func() { r.done(r.err) }, func() {})
	}
}
