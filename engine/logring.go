package engine

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// logRing stands between an engine and its Logger, so that a Logger which is slow,
// blocks or panics does so on a goroutine of its own:
//
//  1. put adds an event, or drops and counts it when too many wait
//  2. a goroutine, which is there only while there is something to do, takes the
//     events in their order and calls the Logger
//  3. after each it asks the Logger which levels are on
//
// Any goroutine may call the methods, but for those of run, and none waits for the
// Logger longer than logPatience.
type logRing struct {
	logger Logger
	levels atomic.Uint32 // a bit for each level that is on
	drops  atomic.Uint64 // events that did not get through

	mu      sync.Mutex
	waiting []logEvent // a ring, made for the first event
	first   int
	count   int
	lost    int64 // events dropped since the last one that was added
	asked   bool  // the levels are to be looked at
	stopped bool
	running bool          // the goroutine is there
	ended   chan struct{} // made by who waits for its end, which closes it

	untold int64 // events lost and not yet told of; belongs to run
}

// logEvent is an event that waits.
type logEvent struct {
	level  Level
	name   string
	fields []Field
	lost   int64 // events dropped between the one before and this one
}

const (
	logWaiting = 1024               // events that may wait
	logDebug   = logWaiting * 3 / 4 // above this, none of level Debug: peers cause any number
	logText    = 8 << 10            // bytes of a text that are kept: it may be a peer's

	// logPatience is how long the engine's start and end wait for the Logger.
	logPatience = time.Second
)

// newLogRing asks the logger for its levels. They are off until it has answered.
func newLogRing(logger Logger) *logRing {
	r := &logRing{logger: logger}
	r.refresh()
	r.wait(logPatience)
	return r
}

// enabled tells whether events of the level are wanted, as far as is known.
func (r *logRing) enabled(level Level) bool { return r.levels.Load()&levelBit(level) != 0 }

func levelBit(level Level) uint32 { return 1 << ((level - Debug) / (Info - Debug)) }

// dropped returns how many events did not get through: too many waited, the logger
// panicked, or the engine ended before the logger took them.
func (r *logRing) dropped() uint64 { return r.drops.Load() }

// put hands over an event with its fields, which are the ring's from now on.
func (r *logRing) put(level Level, name string, fields []Field) {
	for i := range fields {
		fields[i].Text = clip(fields[i].Text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.count == logWaiting || level == Debug && r.count >= logDebug {
		r.lost++
		r.drops.Add(1)
		return
	}
	if r.waiting == nil {
		r.waiting = make([]logEvent, logWaiting)
	}
	r.waiting[(r.first+r.count)%logWaiting] = logEvent{level, name, fields, r.lost}
	r.count++
	r.lost = 0
	r.start()
}

// clip shortens a text that is too long to wait in memory.
func clip(text string) string {
	if len(text) <= logText {
		return text
	}
	return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:logText], ""), len(text))
}

// refresh has the logger asked for its levels soon.
func (r *logRing) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.asked = true
		r.start()
	}
}

// stop takes no more events, and waits for those that are there to be written.
// What is left when patience ends is dropped; the goroutine then ends when the
// logger returns.
func (r *logRing) stop(patience time.Duration) {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	if r.wait(patience) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops.Add(uint64(r.count))
	r.waiting, r.count, r.asked = nil, 0, false
}

// wait waits until there is nothing to do, and tells whether that came to be.
func (r *logRing) wait(patience time.Duration) bool {
	r.mu.Lock()
	if !r.running {
		r.mu.Unlock()
		return true
	}
	if r.ended == nil {
		r.ended = make(chan struct{})
	}
	ended := r.ended
	r.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

// start starts the goroutine if it is not there. The caller holds the lock.
func (r *logRing) start() {
	if !r.running {
		r.running = true
		go r.run()
	}
}

// run does what there is to do. It is the only goroutine that calls the logger.
func (r *logRing) run() {
	defer r.end()
	for {
		event, some := r.next()
		if !some {
			return
		}
		if event.name != "" {
			r.write(event)
		}
		r.ask()
	}
}

// next takes the oldest event, or one without a name if only the levels are to be
// looked at.
func (r *logRing) next() (event logEvent, some bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	some = r.count > 0 || r.asked
	r.asked = false
	if r.count > 0 {
		event, r.waiting[r.first] = r.waiting[r.first], logEvent{}
		r.first = (r.first + 1) % logWaiting
		r.count--
	}
	return event, some
}

// end is the goroutine's. Something may have come since next found nothing, and the
// logger may have ended the goroutine (runtime.Goexit): then another one goes on.
func (r *logRing) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count > 0 || r.asked {
		go r.run()
		return
	}
	r.running = false
	if r.ended != nil {
		close(r.ended)
		r.ended = nil
	}
}

// write has an event written, with the number of those that were lost before it.
func (r *logRing) write(event logEvent) {
	r.untold += event.lost
	through := false
	defer func() {
		_ = recover()
		if !through {
			r.untold++
			r.drops.Add(1)
		}
	}()
	if r.logger.Enabled(event.level) {
		if r.untold > 0 {
			event.fields = append(event.fields, Number("lost", r.untold))
		}
		r.logger.Log(event.level, event.name, event.fields)
		r.untold = 0
	}
	through = true
}

// ask asks the logger which levels are on.
func (r *logRing) ask() {
	var on uint32
	for _, level := range [...]Level{Debug, Info, Warn, Error} {
		if r.wants(level) {
			on |= levelBit(level)
		}
	}
	r.levels.Store(on)
}

// wants asks the logger for a level; one that it panics at is off.
func (r *logRing) wants(level Level) bool {
	defer func() { _ = recover() }()
	return r.logger.Enabled(level)
}
