package engine

import "math"

// The brake bounds what comes in. A few turns in which hundreds of sessions are read can
// fill a small container in less time than the overseer may have to wait for a
// processor, so each loop looks for itself, before each session that it reads: when the
// engine's buffers have taken too much of the heap, garbage of theirs included, it leaves
// in its list those for which something is held already. Of the others it reads a
// little: a request and its answer still find their way. Writing goes on, and handlers
// get on with what was read. The other peers' kernels wait.
//
// The ladder sees to it that this ends: it has garbage collected, and if that is not
// enough closes the fattest sessions. It wakes the loops at each look.

// What buffers may take before nothing more is read is brakePart of each limit of the
// process, in hundredths, less what everything else in the process uses. The rest is for
// garbage of others, and for what handlers still make of what was read. It is never less
// than one part in brakeLeast of the limit: whoever fills the memory with something else
// must not silence the engine.
const (
	brakePart  = 70
	brakeLeast = 16
)

// littleRead is how much a loop that brakes reads of a session in a turn, in bytes, and
// littlePart how much may come of that in all: one part in so many of the limit.
const (
	littleRead = 2 << 10
	littlePart = 32
)

// noBrake is a mark that is never reached.
const noBrake = math.MaxInt64

// brakes tells whether only a little is to be read now. On the loop; it costs two loads.
func (l *loop) brakes() bool {
	over := l.engine.pool.Taken() >= l.engine.ladder.brakeAt.Load()
	if over != l.braked {
		l.brake(over)
	}
	return over
}

// brake notes that the loop begins to wait, or ends. The overseer must know at once: it
// may sleep.
func (l *loop) brake(on bool) {
	ladder := &l.engine.ladder
	l.braked = on
	if !on {
		ladder.braked.Add(-1)
		return
	}
	ladder.brakes.Add(1)
	ladder.braked.Add(1)
	l.engine.overseer.rouse()
}

// mayReadLittle tells whether a little may be read of c, although the loop brakes.
func (l *loop) mayReadLittle(c *conn) bool {
	ladder := &l.engine.ladder
	return l.engine.pool.Taken() < ladder.brakeAt.Load()+ladder.little && c.drive().Held() == 0
}

// setBrake says from where on loops wait: live is what is in use of the
// engine's buffers.
func (l *ladder) setBrake(live int64) {
	at := int64(noBrake)
	for i := range l.ceilings {
		if c := &l.ceilings[i]; c.kind.ofProcess() {
			at = min(at, max(c.limit/100*brakePart-max(c.use-live, 0), c.limit/brakeLeast))
		}
	}
	l.brakeAt.Store(at)
}

// release wakes loops that wait: there may be room again, or what they have read may have
// been handled.
func (l *ladder) release() {
	if l.braked.Load() == 0 {
		return
	}
	for _, loop := range l.engine.loops {
		loop.mail.knock()
	}
}
