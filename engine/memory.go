package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/session"
)

// A ladder keeps the process below its memory limit. The overseer has it look, the more
// often the less room there is (memory_use.go):
//
//  1. measure what is used of each limit, and is not garbage
//  2. collect garbage, where the runtime would wait for too long, and let loops go on
//     that waited for that (memory_brake.go)
//  3. climb: begin the steps whose mark was reached, and end those that are no longer
//     needed. Between the marks of one step nothing changes
//  4. relieve: have sessions end, some at a time (memory_relief.go)
//
// Loops only see whether they may accept. All fields belong to the overseer's goroutine
// unless they say otherwise.
type ladder struct {
	engine *Engine
	source inject.Memory // nil: there is no ladder

	// What any goroutine may read.
	use         atomic.Int64 // of the memory limit that is nearest, at the last look
	limit       atomic.Int64 // that limit
	step        atomic.Uint32
	full        atomic.Bool // acceptors are to wait
	stops       atomic.Uint64
	brakeAt     atomic.Int64  // what buffers may take before nothing more is read, bytes
	little      int64         // how much more may then come of small reads; set once
	braked      atomic.Int32  // loops that wait for that; they add
	brakes      atomic.Uint64 // how often one began to
	collections atomic.Uint64
	ended       [memorySteps]atomic.Uint64 // sessions, by step; loops add

	// What is used.
	ceilings []ceiling
	cycles   uint64      // garbage collections so far
	began    buffer.Mark // what the buffers had when the last one but one was noticed
	oursThen int64       // what they can have had of what was live at the last one
	nextLook time.Time

	// Collecting.
	collected    chan time.Duration // how long a collection took that has ended
	collecting   bool
	wanted       bool        // it is to be collected in any case
	asked        buffer.Mark // what the buffers had when it was asked for
	nextCollects time.Time
	staleAt      time.Time // when what the last collection has seen is too old for a step

	inForce [memorySteps]bool
	eased   [memorySteps]time.Time // since when it is not needed; zero: it is
	told    [memorySteps]uint64    // of ended, in the log
	relief  relief
}

// MemoryStep is what an engine does when memory runs out. Each step comes with all those
// before it.
type MemoryStep uint8

// The steps.
const (
	MemoryNormal        MemoryStep = iota // nothing
	MemoryStopAccepting                   // clients wait in the listeners' queues
	MemoryDropIdle                        // sessions end that have been silent, the longest first
	MemoryCloseFattest                    // sessions end for which most is held
	memorySteps
)

// String returns the step's stable name, as logs use it.
func (s MemoryStep) String() string {
	switch s {
	case MemoryNormal:
		return "normal"
	case MemoryStopAccepting:
		return "stop_accepting"
	case MemoryDropIdle:
		return "drop_idle"
	case MemoryCloseFattest:
		return "close_fattest"
	}
	return "invalid"
}

// MemoryError is the cause of a close for session.ReasonMemory.
type MemoryError struct {
	Step  MemoryStep // why: MemoryDropIdle or MemoryCloseFattest
	Of    string     // what ran out: memory, cgroup, queued, unread or buffers; see WithMemoryLimit
	Use   int64      // how much of it was used, bytes
	Limit int64      // and how much there is
}

// Error names the step, and what was used of what.
func (e *MemoryError) Error() string {
	return fmt.Sprintf("engine: %v: %s: %d of %d bytes are used", e.Step, e.Of, e.Use, e.Limit)
}

// marks are where a step begins and ends, in hundredths of a limit. Above the last one
// there must be room for what comes between two looks, and for garbage that nobody has
// collected yet; and each step must have the time to do without the next.
var marks = [memorySteps]struct{ on, off float64 }{
	MemoryStopAccepting: {80, 75},
	MemoryDropIdle:      {85, 80},
	MemoryCloseFattest:  {90, 85},
}

const (
	// stepCalm is for how long use must be below the mark before a step ends. It swings
	// by more than the marks are apart while garbage is collected.
	stepCalm = 100 * time.Millisecond

	// collectMark is from where on garbage is collected early, in hundredths of a limit,
	// if there may be as much of it as garbagePart says.
	collectMark = 75
	garbagePart = 16 // one part in so many of the limit

	// collectShare is how many times as long as the last collection took there is none,
	// unless garbage alone could fill the memory meanwhile: from pressMark on, in
	// hundredths of a limit, one follows the other.
	collectShare = 4
	pressMark    = 85

	// collectStale is for how long a step may rest on what the last collection has seen,
	// and staleShare is collectShare for that reason.
	collectStale = time.Second
	staleShare   = 16

	// lookMin and lookMax bound the time between two looks. In between it is what half
	// of the room takes to fill at fillRate, which is more than loopback brings.
	lookMin  = overseerPause - overseerTick/2 // so that no look of the overseer's is too soon
	lookMax  = time.Second
	fillRate = 1 << 30 // bytes a second

	// acceptRecheck is how often an acceptor looks for itself whether it may go on.
	acceptRecheck = time.Second
)

// start makes the engine's ladder, if there is a limit to keep.
func (l *ladder) start(e *Engine) {
	l.brakeAt.Store(noBrake)
	if len(e.options.ceilings) == 0 || e.deps.Memory == nil && e.deps.Oversee != nil {
		return
	}
	l.engine, l.source = e, e.deps.Memory
	if l.source == nil {
		l.source = newSystemMemory(e.options.group)
	}
	l.ceilings = e.options.ceilings
	l.limit.Store(l.ceilings[0].limit)
	l.little = l.ceilings[0].limit / littlePart
	l.collected = make(chan time.Duration, 1)
	l.began = e.pool.Mark()
	l.oursThen = e.pool.Taken()
	l.relief.start(l)
	l.measure(e.started)
}

// on tells whether there is a ladder.
func (l *ladder) on() bool { return l.source != nil }

// look does all there is to do, if it is time.
func (l *ladder) look(now time.Time) {
	if l.source == nil || now.Before(l.nextLook) && l.braked.Load() == 0 {
		return
	}
	l.endCollecting(now)
	l.measure(now)
	l.nextLook = now.Add(l.pause())
	l.collect(now)
	l.release()
	for step := MemoryStopAccepting; step < memorySteps; step++ {
		l.climb(step, now)
	}
	l.relief.look(now)
	l.tell()
}

// busy tells whether it must look again though nothing happens: steps are in force,
// something is under way, or is still to be told.
func (l *ladder) busy() bool {
	if l.source == nil {
		return false
	}
	for step := range l.ended {
		if l.ended[step].Load() != l.told[step] {
			return true
		}
	}
	return l.step.Load() != 0 || l.braked.Load() != 0 || l.collecting || l.wanted || l.relief.underWay()
}

// stop waits for a collection that is under way.
func (l *ladder) stop() {
	if l.collecting {
		<-l.collected
		l.collecting = false
	}
}

// climb begins a step, or ends it.
func (l *ladder) climb(step MemoryStep, now time.Time) {
	c := l.nearest(step)
	if c.part(step) >= marks[step].off {
		l.eased[step] = time.Time{}
	} else if l.eased[step].IsZero() {
		l.eased[step] = now
	}
	switch {
	case !l.inForce[step] && c.part(step) >= marks[step].on:
		l.inForce[step] = true
		l.engine.log.memoryStep(step, stepBegins, c)
		if step == MemoryStopAccepting {
			l.stops.Add(1)
			l.full.Store(true)
		}
	case l.inForce[step] && c.part(step) < marks[step].off && now.Sub(l.eased[step]) >= stepCalm:
		l.inForce[step] = false
		l.engine.log.memoryStep(step, stepEnds, c)
		if step == MemoryStopAccepting {
			l.full.Store(false)
			for _, loop := range l.engine.loops {
				loop.askAcceptors()
			}
		}
	default:
		return
	}
	highest := MemoryNormal
	for s, in := range l.inForce {
		if in {
			highest = MemoryStep(s)
		}
	}
	l.step.Store(uint32(highest))
}

// tell logs how many sessions have ended since the last time.
func (l *ladder) tell() {
	for step := MemoryDropIdle; step < memorySteps; step++ {
		total := l.ended[step].Load()
		sessions := total - l.told[step]
		if sessions > 0 && l.engine.log.memoryStep(step, stepActs, l.nearest(step), Number("sessions", int64(sessions)), Number("total", int64(total))) {
			l.told[step] = total
		}
	}
}

// endCollecting notes that a collection has ended.
func (l *ladder) endCollecting(now time.Time) {
	select {
	case took := <-l.collected:
		l.collecting, l.nextCollects = false, now.Add(collectShare*took)
		l.staleAt = now.Add(max(staleShare*took, collectStale))
		l.engine.pool.Collected(l.asked)
	default:
	}
}

// collect has garbage collected if a limit is near and garbage may be all that is. The
// runtime does so itself where the limit is its own; of others it does not know, and lets
// the heap grow to twice what is live. While a step is in force it is collected also where
// nothing seems to be garbage, now and then: a program that does nothing finds out about
// none.
func (l *ladder) collect(now time.Time) {
	stale := l.step.Load() != 0 && !now.Before(l.staleAt)
	worth := l.worthCollecting(collectMark)
	rests := now.Before(l.nextCollects) && !l.worthCollecting(pressMark)
	if l.collecting || rests || !l.wanted && !stale && !worth {
		return
	}
	l.collecting, l.wanted = true, false
	l.collections.Add(1)
	l.engine.pool.Trim() // what is kept for later use is garbage, too
	l.asked = l.engine.pool.Mark()
	go func() {
		began := time.Now()
		l.source.Collect()
		l.collected <- time.Since(began)
	}()
}

// worthCollecting tells whether a limit is used up to mark, in hundredths, by garbage, too.
func (l *ladder) worthCollecting(mark float64) bool {
	for i := range l.ceilings {
		c := &l.ceilings[i]
		if !c.paced && 100*float64(c.held) >= mark*float64(c.limit) && c.held-c.use >= c.limit/garbagePart {
			return true
		}
	}
	return false
}

// addTo adds what it counts. Any goroutine.
func (l *ladder) addTo(st *Memory) {
	st.Limit, st.Use, st.Step = l.limit.Load(), l.use.Load(), MemoryStep(l.step.Load())
	st.Collections, st.AcceptStops, st.ReadStops = l.collections.Load(), l.stops.Load(), l.brakes.Load()
	st.IdleDropped, st.FattestClosed = l.ended[MemoryDropIdle].Load(), l.ended[MemoryCloseFattest].Load()
}

// leaving is how many of the sessions that it has ended have not closed yet, and will for
// that reason.
func (l *ladder) leaving(ended uint64) uint64 {
	var closed uint64
	for _, loop := range l.engine.loops {
		closed += loop.stats.closed[session.ReasonMemory].Load()
	}
	return ended - min(closed, ended)
}
