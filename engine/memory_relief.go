package engine

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// A relief ends sessions, in rounds:
//
//  1. each loop counts its sessions: which have been silent for long, for which much is
//     held. It does so in its turns, some at a time
//  2. when all have counted the overseer picks, over all loops, as many as needed, and at
//     most a small part
//  3. the loops end those that are still as they were counted
//  4. the next round begins. Before idle ones are picked again those dropped must have
//     closed, or have had a second for that, and garbage must have been collected: most of
//     what they took is not the engine's, and would still seem to be used
//
// Rounds without steps 2 and 3 note who has sent something, so that it is known who is
// silent when that is asked for.
//
// All of it belongs to the overseer's goroutine.
type relief struct {
	ladder  *ladder
	loops   []*census
	picking bool      // this round is to end sessions
	began   time.Time // when the loops were asked; zero: no round is under way
	noted   time.Time // when they were asked last
	acted   time.Time // when sessions were picked last
	again   time.Time // when the next round that ends any may begin at the earliest

	effect  effect
	dropped time.Time     // when idle sessions were picked last
	ended   atomic.Uint64 // sessions that will close for this; loops add
}

// effect is what is awaited of the idle sessions that were dropped last.
type effect uint8

const (
	effectSeen      effect = iota // nothing
	effectClosing                 // that they close
	effectCollected               // that garbage is collected
)

const (
	// silence is how long a session must have been silent to be dropped, and how often
	// is noted who is.
	silence = 2 * time.Second

	// notePart is from where on that is noted: one part in so many of a limit.
	notePart = 4

	// censusPatience is how long a round waits for a loop that is held up.
	censusPatience = 100 * time.Millisecond

	// effectPatience is how long a round waits for what the one before it has done.
	effectPatience = time.Second

	// roundPause is how long there is no round after one that found nobody.
	roundPause = 100 * time.Millisecond

	// roundPart bounds how many sessions a round ends, of each kind: one in so many, and
	// no more than idleMost or fattestMost.
	roundPart   = 16
	idleMost    = 256
	fattestMost = 64

	// sessionBytes is about what a session without buffers takes, in the engine and in the kernel.
	sessionBytes = 2 << 10

	// fatMin is the least that must be held for a session to be ended for what others hold,
	// too, in bytes.
	fatMin = 4 << 10

	// oursPart is how much of a limit must be the engine's for its sessions to be ended:
	// one part in so many.
	oursPart = 8
)

func (r *relief) start(l *ladder) {
	r.ladder = l
	for _, loop := range l.engine.loops {
		c := &census{loop: loop, relief: r}
		c.errand.Run = c.work
		r.loops = append(r.loops, c)
	}
}

// underWay tells whether a round is.
func (r *relief) underWay() bool { return !r.began.IsZero() }

// look goes on with a round, or begins one if it is time.
func (r *relief) look(now time.Time) {
	l := r.ladder
	wanted := r.helps(MemoryDropIdle) || r.helps(MemoryCloseFattest)
	r.awaitEffect(now)
	switch {
	case r.underWay():
		if r.counted() || now.Sub(r.began) >= censusPatience {
			r.began = time.Time{}
			r.judge(now)
		}
	case wanted && !now.Before(r.again) && (r.carriedOut() || now.Sub(r.acted) >= effectPatience):
		r.ask(now, true)
	case !wanted && now.Sub(r.noted) >= silence && l.nearest(MemoryDropIdle).part(MemoryDropIdle) >= 100/notePart:
		r.ask(now, false)
	}
}

// helps tells whether a step is in force that ends sessions, and ending them can help:
// enough of what is used is theirs.
func (r *relief) helps(step MemoryStep) bool {
	l := r.ladder
	if !l.inForce[step] {
		return false
	}
	c := l.nearest(step)
	return !c.kind.ofProcess() || l.engine.pool.Stats().InUse+int64(l.engine.count())*sessionBytes >= c.limit/oursPart
}

// ask has the loops count. One that still has to do with an earlier round is reminded.
func (r *relief) ask(now time.Time, pick bool) {
	r.began, r.noted, r.picking = now, now, pick
	for _, c := range r.loops {
		if c.stage.Load() == censusRests {
			c.slot, c.pick, c.held = 0, pick, 0
			c.stage.Store(censusCounts)
		}
		c.loop.mail.leave(&c.errand)
	}
}

// counted tells whether all loops have.
func (r *relief) counted() bool {
	for _, c := range r.loops {
		if c.stage.Load() != censusDone {
			return false
		}
	}
	return true
}

// carriedOut tells whether no loop has anybody left to end.
func (r *relief) carriedOut() bool {
	for _, c := range r.loops {
		if c.stage.Load() == censusEnds {
			return false
		}
	}
	return true
}

// awaitEffect waits for what dropping idle sessions brings: that they are closed, and then
// that they are collected.
func (r *relief) awaitEffect(now time.Time) {
	l := r.ladder
	switch r.effect {
	case effectClosing:
		if now.Sub(r.dropped) >= effectPatience || r.carriedOut() && l.leaving(r.ended.Load()) == 0 {
			r.effect = effectCollected
			l.wanted = true
		}
	case effectCollected:
		if !l.wanted && !l.collecting {
			r.effect = effectSeen
		}
	}
}

// judge picks sessions of the loops that have counted, and has them ended.
func (r *relief) judge(now time.Time) {
	var silent, fat []candidate
	var held int64
	for _, c := range r.loops {
		if c.stage.Load() == censusDone && c.pick {
			held += c.held
			silent, fat = append(silent, c.silent.list...), append(fat, c.fat.list...)
		}
	}
	var picked []candidate
	if r.picking {
		if picked = r.pickIdle(silent); len(picked) > 0 {
			r.effect, r.dropped = effectClosing, now
		}
		picked = append(picked, r.pickFattest(fat, held)...)
	}
	if len(picked) > 0 {
		r.acted = now
	} else {
		r.again = now.Add(roundPause)
	}
	for _, c := range r.loops {
		if c.stage.Load() != censusDone {
			continue
		}
		c.silent.clear()
		c.fat.clear()
		for _, p := range picked {
			if r.ladder.engine.shared.LoopOf(p.id) == c.loop.index {
				c.sentence = append(c.sentence, p)
			}
		}
		if len(c.sentence) == 0 {
			c.stage.Store(censusRests)
			continue
		}
		c.stage.Store(censusEnds)
		c.loop.mail.leave(&c.errand)
	}
}

// pickIdle picks those silent longest, as many as take what is too much.
func (r *relief) pickIdle(silent []candidate) []candidate {
	if r.effect != effectSeen || !r.helps(MemoryDropIdle) {
		return nil
	}
	c := r.ladder.nearest(MemoryDropIdle)
	n := int((max(c.excess(MemoryDropIdle), 0) + sessionBytes - 1) / sessionBytes)
	return r.sentence(worst(silent, min(n, r.most(idleMost))), MemoryDropIdle, c)
}

// pickFattest picks those for which most is held, until it is enough; held is what is held
// for all. Where that is little they are left alone: they may be healthy, and something
// just under way.
func (r *relief) pickFattest(fat []candidate, held int64) []candidate {
	if !r.helps(MemoryCloseFattest) {
		return nil
	}
	c := r.ladder.nearest(MemoryCloseFattest)
	excess := c.excess(MemoryCloseFattest)
	// If all sessions held less than this, it would not be enough to end all of them.
	least := excess / int64(max(r.ladder.engine.count(), 1))
	if c.kind.ofProcess() || held < excess { // it is not sessions alone that are to blame
		least = max(least, fatMin)
	}
	fat = worst(fat, r.most(fattestMost))
	n := 0
	for ; n < len(fat) && excess > 0 && fat[n].weight >= least; n++ {
		excess -= fat[n].weight
	}
	return r.sentence(fat[:n], MemoryCloseFattest, c)
}

// sentence says why the sessions are to end. They share the reason: memory is scarce.
func (r *relief) sentence(picked []candidate, step MemoryStep, c *ceiling) []candidate {
	why := &MemoryError{Step: step, Of: c.kind.String(), Use: c.use, Limit: c.limit}
	for i := range picked {
		picked[i].why = why
	}
	return picked
}

// most is how many sessions a round may end of a kind.
func (r *relief) most(bound int) int {
	return min(max(r.ladder.engine.count()/roundPart, 1), bound)
}

// candidate is a session that may be ended.
type candidate struct {
	id     uint64
	weight int64 // how long it has been silent, in ticks; or bytes held
	why    *MemoryError
}

// worst returns the n that weigh most, the first one most.
func worst(list []candidate, n int) []candidate {
	slices.SortFunc(list, func(a, b candidate) int { return cmp.Compare(b.weight, a.weight) })
	return list[:min(n, len(list))]
}

// ranking keeps the candidates that weigh most.
type ranking struct {
	list  []candidate
	floor int64 // what weighs less is not among them
}

// add takes a candidate, and keeps at least the n that weigh most.
func (r *ranking) add(id uint64, weight int64, n int) {
	if weight < r.floor {
		return
	}
	r.list = append(r.list, candidate{id: id, weight: weight})
	if len(r.list) >= 2*n {
		r.list = worst(r.list, n)
		r.floor = r.list[n-1].weight
	}
}

// clear gives the memory back: there is little.
func (r *ranking) clear() { *r = ranking{} }

// census is one loop's part in a round. Its stage says whose it is.
type census struct {
	loop   *loop
	relief *relief
	errand transport.Errand
	stage  atomic.Uint32

	slot     uint32 // which comes next
	pick     bool   // candidates are wanted
	held     int64  // for all sessions together, if so
	silent   ranking
	fat      ranking
	sentence []candidate // to be ended
}

// The stages.
const (
	censusRests  uint32 = iota // the overseer's
	censusCounts               // the loop's: it looks at its sessions
	censusDone                 // the overseer's: it has
	censusEnds                 // the loop's: it ends those picked
)

// censusSlice is how many slots a loop looks at in one turn, so that nobody waits for
// much longer than a tenth of a millisecond.
const censusSlice = 1024

// work is the errand. On the loop.
func (c *census) work() {
	switch c.stage.Load() {
	case censusCounts:
		c.count()
	case censusEnds:
		c.end()
	}
}

// count looks at some sessions, and leaves the rest to the next turn.
func (c *census) count() {
	l := c.loop
	count := l.slots.count()
	for end := min(c.slot+censusSlice, count); c.slot < end; c.slot++ {
		if k := l.slots.at(c.slot); k.session.Load() != nil && k.flags&(fresh|gone|marked) == 0 {
			c.consider(k)
		}
	}
	if c.slot < count {
		l.mail.leave(&c.errand)
		return
	}
	c.stage.Store(censusDone)
}

// consider notes what a session has sent, and whether it is a candidate.
func (c *census) consider(k *conn) {
	c.loop.noticeSent(k)
	if !c.pick {
		return
	}
	if held := k.drive().Held(); held > 0 {
		c.held += int64(held)
		c.fat.add(k.id, int64(held), fattestMost)
	} else if silent, ok := c.loop.silentFor(k, held); ok {
		c.silent.add(k.id, int64(silent), idleMost)
	}
}

// silentFor tells for how many ticks a session for which so much is held has neither
// received nor sent; false if it is not idle, or not for long enough. What it has sent
// must have been noticed.
func (l *loop) silentFor(k *conn, held int) (silent tick, ok bool) {
	silent = l.tickOf(l.now) - k.activeAt
	return silent, held == 0 && k.flags&(paused|stuck|ending|lingering) == 0 && int32(silent) >= int32(silence/tickLength)
}

// end ends those that were picked, if they are still what they were picked for. A handler
// may end the goroutine meanwhile: what is left is then ended when the overseer asks again.
func (c *census) end() {
	l := c.loop
	for len(c.sentence) > 0 {
		p := c.sentence[0]
		c.sentence = c.sentence[1:]
		k := l.find(p.id)
		if k == nil || k.flags&marked != 0 {
			continue
		}
		l.noticeSent(k)
		held, idle := k.drive().Held(), p.why.Step == MemoryDropIdle
		if _, ok := l.silentFor(k, held); idle && !ok || !idle && int64(held) < p.weight/2 {
			continue
		}
		c.relief.ladder.ended[p.why.Step].Add(1)
		if k.session.Load().State() == session.Open {
			c.relief.ended.Add(1)
		}
		l.settle(k, k.drive().End(session.ReasonMemory, p.why, !idle))
		l.schedule(k) // it may not answer our FIN
	}
	c.sentence = nil
	c.stage.Store(censusRests)
}
