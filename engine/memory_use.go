package engine

import (
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/memlimit"
	"github.com/weirnet/weir/internal/transport"
)

// What there is of memory and what is used. Two amounts are known of the process:
//
//	held  what the Go runtime has of the system's memory. The kernel counts that
//	firm  of this, what was live when garbage was collected last, with stacks and
//	      what the runtime needs itself: it cannot be got back by collecting again
//
// What lies between is garbage, or has come since. The engine knows what its buffers hold
// at any time, to the byte, so for them it need not wait for a collection:
//
//	use = firm - ours then + ours now, at most held
//
// Ours then is the most that can have been live of its buffers at the last collection.
// So what sessions queue counts at once, what their end frees counts at once, and the
// garbage of handlers does not count.

// ceiling is a limit, and what is used of it.
type ceiling struct {
	kind  ceilingKind
	limit int64

	// The runtime's own limit, which it collects in time to keep; 0: it has none.
	runtimes int64

	// At the last look.
	use   int64
	held  int64 // use, and garbage
	paced bool  // the runtime keeps it with its own
}

type ceilingKind uint8

const (
	ceilingMemory  ceilingKind = iota // what the option or the system says
	ceilingGroup                      // of the process's cgroup, sockets and all
	ceilingQueued                     // the engine's share for output
	ceilingUnread                     // the same for what was received
	ceilingBuffers                    // what its buffers may take of the heap
)

func (k ceilingKind) String() string {
	return [...]string{"memory", "cgroup", "queued", "unread", "buffers"}[k]
}

// ofProcess tells whether the limit is one of the process's memory as a whole.
func (k ceilingKind) ofProcess() bool { return k <= ceilingGroup }

// pacedBeside tells whether the runtime keeps the limit with its own when others take so
// much.
func (c *ceiling) pacedBeside(others int64) bool {
	return c.runtimes > 0 && c.runtimes+others <= c.limit
}

// part is how much of it counts for a step, in hundredths. What may be garbage, and comes
// faster than it is collected, is reason enough to stop accepting, of which nobody dies.
func (c *ceiling) part(step MemoryStep) float64 {
	counts := c.use
	if step == MemoryStopAccepting && c.kind.ofProcess() && !c.paced {
		counts = c.held
	}
	return 100 * float64(counts) / float64(c.limit)
}

// room is how much may come before it is too late.
func (c *ceiling) room() int64 {
	if c.paced {
		return c.limit - c.use // garbage gives way
	}
	return c.limit - c.held
}

// excess is how much must go for a step to end.
func (c *ceiling) excess(step MemoryStep) int64 {
	return c.use - int64(marks[step].off/100*float64(c.limit))
}

// memoryMin is the least limit: less than that a Go program takes when it does nothing.
const memoryMin = 4 << 20

// systemLimit as an option's value is what the system says.
const systemLimit = -1

// WithMemoryLimit says how much memory the process may use, in bytes, from 4 MiB on. When
// it is running out the engine does something about it, step by step:
//
//  1. from 80 % on it stops accepting. Clients wait in the listeners' queues, up to the
//     system's somaxconn
//  2. from 85 % on it drops sessions that have been silent for two seconds or more and for
//     which nothing is held, the longest silent first. They drain, as with Close
//  3. from 90 % on it aborts the sessions for which most is held: output that is queued,
//     and input that is not handled
//
// A step ends when use is 5 % below where it began. Sessions end for session.ReasonMemory,
// with a *MemoryError as the cause: at most one in 16 of all sessions at a time, or one,
// and then the effect is awaited. What was done is told by the event memory and by
// Stats.Memory.
//
// What counts is memory that is in use, by whatever: garbage does not, and is collected
// early instead, from 75 % on, where the Go runtime does not know the limit. But sessions
// are ended only while buffers and sessions take an eighth of the limit or more:
// otherwise their end would not help. Something else than the engine is then to blame.
//
// The default is GOMEMLIMIT, or what debug.SetMemoryLimit has set, else the cgroup's
// limit, else the machine's memory, as New finds them. If the cgroup has a limit, that is
// kept, too, whatever the default or the option is, and then what the kernel has for the
// cgroup's sockets counts. The engine's shares are kept in the same way, but that no
// idle session is dropped for them: half of the limit for output (see WithOutboundTotal),
// as much for input above WithUnread, and for all its buffers together 70 % less what the
// rest of the process uses. Where that is reached, nothing is read until there is room
// again. With 0, and where the system does not say how much memory there is, nothing is
// done.
func WithMemoryLimit(bytes int64) Option {
	return func(o *options) {
		if bytes != 0 && bytes < memoryMin {
			o.reject("memory limit", bytes, fmt.Sprintf("must be 0 (off) or at least %d bytes", memoryMin))
		}
		o.memoryLimit = bytes
	}
}

// shareWithout is the engine's share for output where nobody says how much memory there
// is.
const shareWithout = 512 << 20

// settleMemory finds out what there is, and what follows from that.
func (o *options) settleMemory(found memlimit.Limits) {
	limit, off := o.memoryLimit, o.memoryLimit == 0
	if limit <= 0 {
		limit = found.Bytes()
	}
	share := limit / 2
	if limit == 0 {
		share, off = shareWithout, true
	}
	chosen := o.outboundTotal != 0
	if !chosen {
		o.outboundTotal = share
	}
	if off {
		return
	}
	o.group = found.Group
	if limit != found.Group.Limit {
		o.ceilings = append(o.ceilings, ceiling{kind: ceilingMemory, limit: limit, runtimes: found.Runtime})
	}
	if found.Group.Limit > 0 {
		o.ceilings = append(o.ceilings, ceiling{kind: ceilingGroup, limit: found.Group.Limit, runtimes: found.Runtime})
	}
	o.ceilings = append(o.ceilings, ceiling{kind: ceilingBuffers}) // see setBrake
	forMost := (&transport.Shared{QueuedCap: share}).QueuedShare(math.MaxInt)
	if !chosen { // who sets the share wants sends to be refused above it, and no more
		o.ceilings = append(o.ceilings, ceiling{kind: ceilingQueued, limit: forMost}, ceiling{kind: ceilingUnread, limit: share})
	}
}

// measure brings all ceilings up to date.
func (l *ladder) measure(now time.Time) {
	u, shared, pool := l.source.Read(), &l.engine.shared, l.engine.pool
	live, _ := pool.Own() // what is kept for later use can be had back
	if u.Cycles != l.cycles {
		// It may have begun before the look at which the one before it was noticed.
		l.cycles = u.Cycles
		pool.Collected(l.began)
		l.began, l.oursThen = pool.Mark(), pool.Taken()
		if at := now.Add(collectStale); at.After(l.staleAt) {
			l.staleAt = at
		}
	}
	firm := min(max(u.Firm-min(u.Live, l.oursThen), 0)+live, u.Held)
	for i := range l.ceilings {
		c := &l.ceilings[i]
		switch c.kind {
		case ceilingMemory:
			c.use, c.held = firm, u.Held
			c.paced = c.pacedBeside(0)
		case ceilingGroup: // the runtime knows nothing of sockets
			c.use, c.held = firm+u.Outside, u.Held+u.Outside
			c.paced = c.pacedBeside(u.Outside + c.limit/garbagePart)
		case ceilingQueued:
			c.use = shared.Queued.Load()
			c.held = c.use
		case ceilingUnread:
			c.use = shared.Unread.Load()
			c.held = c.use
		case ceilingBuffers: // the last one of those that depend on others
			l.setBrake(live)
			c.use, c.held, c.limit = live, pool.Taken(), l.brakeAt.Load()
		}
	}
	shown := l.nearest(MemoryDropIdle)
	l.use.Store(shown.use)
	l.limit.Store(shown.limit)
}

// nearest is the ceiling of which most is used, of those for which a step helps. The
// first one is always of the process.
func (l *ladder) nearest(step MemoryStep) *ceiling {
	found := &l.ceilings[0]
	for i := range l.ceilings {
		c := &l.ceilings[i]
		if c.part(step) > found.part(step) && (step != MemoryDropIdle || c.kind.ofProcess()) {
			found = c
		}
	}
	return found
}

// pause is how long nothing can happen: no ceiling is reached meanwhile, and no step may
// end.
func (l *ladder) pause() time.Duration {
	most := lookMax
	if l.step.Load() != 0 {
		most = stepCalm / 2
	}
	room := l.ceilings[0].room()
	for i := range l.ceilings {
		room = min(room, l.ceilings[i].room())
	}
	const whole = int64(lookMax/time.Second) * 2 * fillRate
	return max(min(lookMax*time.Duration(min(max(room, 0), whole)>>10)/time.Duration(whole>>10), most), lookMin)
}

// systemMemory is what the runtime and the cgroup tell. Read belongs to one goroutine.
type systemMemory struct {
	group   memlimit.Group
	outside int64 // when it could be read last
	samples []metrics.Sample
}

// What is read of the runtime, in this order.
const (
	sampleTotal = iota
	sampleReleased
	sampleFree
	sampleObjects
	sampleLive
	sampleCycles
)

func newSystemMemory(group memlimit.Group) *systemMemory {
	return &systemMemory{group: group, samples: []metrics.Sample{
		sampleTotal:    {Name: "/memory/classes/total:bytes"},
		sampleReleased: {Name: "/memory/classes/heap/released:bytes"},
		sampleFree:     {Name: "/memory/classes/heap/free:bytes"},
		sampleObjects:  {Name: "/memory/classes/heap/objects:bytes"},
		sampleLive:     {Name: "/gc/heap/live:bytes"},
		sampleCycles:   {Name: "/gc/cycles/total:gc-cycles"},
	}}
}

// Read takes half a microsecond, and ten more where the cgroup has a limit. It stops
// nothing.
func (m *systemMemory) Read() inject.MemoryUse {
	metrics.Read(m.samples)
	value := func(i int) int64 {
		if v := m.samples[i].Value; v.Kind() == metrics.KindUint64 {
			return int64(v.Uint64())
		}
		return 0 // a runtime that does not tell
	}
	u := inject.MemoryUse{Held: value(sampleTotal) - value(sampleReleased), Cycles: uint64(value(sampleCycles))}
	u.Live = value(sampleLive)
	u.Firm = u.Held - value(sampleFree) - max(value(sampleObjects)-u.Live, 0)
	if m.group.Limit > 0 {
		if use, ok := m.group.Use(); ok { // it may not be readable when descriptors are scarce
			m.outside = use - u.Held
		}
		u.Outside = m.outside
	}
	return u
}

// Collect collects, and returns what is free to the system, since the kernel counts that.
func (m *systemMemory) Collect() { debug.FreeOSMemory() }
