package engine

import (
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/session"
)

// loopStats are a loop's counters. The loop adds, anybody reads.
type loopStats struct {
	turns          atomic.Uint64
	parks          atomic.Uint64
	stale          atomic.Uint64
	accepted       atomic.Uint64
	refused        atomic.Uint64
	refusedFull    atomic.Uint64
	refusedCrowded atomic.Uint64
	acceptErrors   atomic.Uint64
	acceptPauses   atomic.Uint64
	acceptWaits    atomic.Uint64
	opened         atomic.Uint64
	closed         [session.Reasons]atomic.Uint64
	unsent         atomic.Uint64
	unhandled      atomic.Uint64
	aborted        atomic.Uint64
	bytesIn        atomic.Uint64
	bytesOut       atomic.Uint64 // of closed sessions
	overloads      atomic.Uint64
	pings          atomic.Uint64
	cast           atomic.Uint64
	castRefused    atomic.Uint64

	blockedHandlers atomic.Uint64 // the overseer adds these
	blockedLoops    atomic.Uint64
}

// Stats are an engine's counters. They are read one after the other while the
// engine runs, so they need not add up to the last unit.
type Stats struct {
	Loops    int
	Sessions int // placed on a loop and not closed

	Accepted       uint64 // connections taken from listeners
	Refused        uint64 // of these: no room, or the poller refused
	RefusedFull    uint64 // of the refused: as many sessions as WithMaxSessions allows
	RefusedCrowded uint64 // of the refused: as many of the peer's address as WithMaxPerAddress allows
	AcceptErrors   uint64 // errors of accept, those that it pauses for included
	AcceptPauses   uint64 // times accepting paused for lack of descriptors or memory
	AcceptWaits    uint64 // times accepting waited for WithAcceptRate

	Dialled    uint64 // sessions that Dial returned
	DialErrors uint64 // errors that it returned instead, ErrStopped included
	Adopted    uint64 // sessions that AdoptConn returned

	Opened uint64            // sessions whose OnOpen was called
	Closed map[string]uint64 // sessions whose OnClose was called, by Reason; none is left out

	Pings     uint64 // times a peer had said nothing for an interval of WithHeartbeat, and OnPing was due
	Throttled uint64 // times a session waited for WithMessageRate or WithByteRate

	BytesIn  uint64
	BytesOut uint64 // taken by the kernel
	Unsent   uint64 // bytes that sessions or clients had queued when they ended
	Queued   int64  // bytes queued now, in sessions and clients

	Clients int // not ended

	Unhandled uint64 // bytes that were received and not given to a handler when sessions ended
	Aborted   uint64 // sessions that were there when a shutdown's time was up or at Close

	Turns       uint64 // of all loops
	Parks       uint64 // turns in which a loop went to sleep
	StaleEvents uint64 // events for connections that were closed already

	Waiting   int    // sessions whose handlers have something to do and do not run
	Handlers  int    // sessions whose handlers run on workers
	Overloads uint64 // times the executor had no room

	Cast        uint64 // messages of Broadcast and SendTo given to a session
	CastRefused uint64 // the same, but not taken: no room, no frame, or closing

	Groups    int                // groups that have members
	GroupSent session.GroupStats // of all groups since the start, users apart; members of now
	// What the watchdog sees; see WithWatchdog.
	BlockedHandlers uint64        // times a handler ran for too long
	BlockedLoops    uint64        // times a loop's turn took too long, and no single handler did
	OldestHandler   time.Duration // for how long the one that has run longest has run; on a loop, its turn

	// LoopLag is the longest turn of a loop in this second, the one before, or under
	// way: as long waited at most what became ready meanwhile. A turn under way is seen
	// by the watchdog only.
	LoopLag time.Duration

	LogDropped uint64 // events that the Logger did not get, or panicked at

	Memory Memory
}

// Memory tells what the engine's buffers and queues take, in bytes.
type Memory struct {
	Buffers buffer.Stats

	// Of the open sessions, at this moment.
	QueuedAverage int64
	QueuedMax     int64
	QueuedMaxID   uint64 // the session that has QueuedMax; 0 if none has any

	// Of the limit and what is done to keep it; see WithMemoryLimit. The engine looks
	// while it has anything to do.
	Limit         int64      // of the process's limits the one that was nearest; 0: nothing is done
	Use           int64      // how much of it was used, garbage apart
	Step          MemoryStep // the highest that is in force
	ReadStops     uint64     // times a loop stopped reading, until there was room
	AcceptStops   uint64     // times accepting stopped
	IdleDropped   uint64     // sessions that were dropped because they were silent
	FattestClosed uint64     // sessions that were aborted because most was held for them
	Collections   uint64     // times garbage was collected early
}

// Stats returns the engine's counters; any goroutine may call it. It looks at
// every session: about a millisecond for 10,000.
func (e *Engine) Stats() Stats {
	st := Stats{
		Loops: len(e.loops), Sessions: e.count(), Queued: e.shared.Queued.Load(),
		Closed: make(map[string]uint64, session.Reasons),
	}
	st.Dialled, st.DialErrors, st.Adopted = e.dialled.Load(), e.dialErrors.Load(), e.adopted.Load()
	for _, l := range e.loops {
		c := &l.stats
		st.Accepted += c.accepted.Load()
		st.Refused += c.refused.Load()
		st.RefusedFull += c.refusedFull.Load()
		st.RefusedCrowded += c.refusedCrowded.Load()
		st.AcceptErrors += c.acceptErrors.Load()
		st.AcceptPauses += c.acceptPauses.Load()
		st.AcceptWaits += c.acceptWaits.Load()
		st.Opened += c.opened.Load()
		st.BytesIn += c.bytesIn.Load()
		st.BytesOut += c.bytesOut.Load()
		st.Unsent += c.unsent.Load()
		st.Unhandled += c.unhandled.Load()
		st.Aborted += c.aborted.Load()
		st.Turns += c.turns.Load()
		st.Parks += c.parks.Load()
		st.Pings += c.pings.Load()
		st.Overloads += c.overloads.Load()
		st.Cast += c.cast.Load()
		st.CastRefused += c.castRefused.Load()
		st.BlockedHandlers += c.blockedHandlers.Load()
		st.BlockedLoops += c.blockedLoops.Load()
		st.LoopLag = max(st.LoopLag, l.lag.recent(e.deps.Clock.Now()))
		if l.queue != nil {
			waiting, running := l.queue.depth()
			st.Waiting += waiting
			st.Handlers += running
		}
		st.StaleEvents += c.stale.Load()
		for r := session.ReasonPeerClosed; int(r) < session.Reasons; r++ {
			st.Closed[r.String()] += c.closed[r].Load()
		}
	}
	st.Unsent += e.clients.unsent.Load()
	st.Clients = e.clients.count()
	st.GroupSent, st.Groups = e.groups.Stats()
	now := e.deps.Clock.Now()
	st.OldestHandler = age(&e.overseer.watchdog.handler, now)
	st.LoopLag = max(st.LoopLag, age(&e.overseer.watchdog.turn, now))
	if e.shared.Intake != nil {
		st.Throttled = e.shared.Intake.Throttled.Load()
	}
	st.LogDropped = e.log.ring.dropped()
	st.Memory.Buffers = e.pool.Stats()
	e.ladder.addTo(&st.Memory)
	e.lookAtSessions(&st)
	return st
}

// lookAtSessions adds what only the sessions themselves know.
func (e *Engine) lookAtSessions(st *Stats) {
	var n, total int64
	e.Sessions(func(s *session.Session) bool {
		now := s.Stats()
		n++
		total += int64(now.Queued)
		st.BytesOut += now.BytesOut
		if queued := int64(now.Queued); queued > st.Memory.QueuedMax {
			st.Memory.QueuedMax, st.Memory.QueuedMaxID = queued, s.ID()
		}
		return true
	})
	if n > 0 {
		st.Memory.QueuedAverage = total / n
	}
}
