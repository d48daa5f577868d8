package session

import (
	"math"
	"slices"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
)

// The way of a message to a group:
//
//  1. Publish writes it to the page of each stream, once for all members that read
//     the same bytes, and tells the branches, of which a stream has one per loop. All
//     of that under the room's lock, so that there is one order for everybody.
//  2. The loop is told once, when the handlers that run have returned.
//  3. The loop takes what has come, and gives each member all of it in one write,
//     straight from the page.
//  4. What the kernel does not take of a message that has begun is queued with the
//     session; the messages behind it become the member's backlog. Policies act there.
//  5. When there is room, the loop feeds the session from its backlogs.
//
// Who joins or leaves is told to the branch in the same order, so a member gets
// exactly what was published during its stay.

// A branch is those members of a stream who live on one loop.
type branch struct {
	stream *stream
	loop   int
	errand transport.Errand

	// Guarded by the room's lock.
	coming []order
	bytes  int    // of the messages among them
	total  uint64 // messages that were ever among them
	told   bool   // the loop was, or will be when handlers have returned
	handed bool   // the errand is with the loop
	idle   bool   // what was taken has been done
	count  int    // who has joined and not left

	// The loop's.
	taken   []order
	next    int           // of taken
	reached uint64        // messages that everybody was given
	batch   batch         // what is being given
	cursor  int           // the member that it is given next
	expiry  int64         // when some of it was seen to have expired meanwhile, Unix nanoseconds; 0: nothing has
	members []*membership // in no order; nil where one has left
	holes   int           // how many have
	tally   tally
	scratch batch // of one member
}

// order is what a branch is told: a run of messages, or that somebody joins or leaves.
type order struct {
	run         run
	join, leave *membership
}

// batch is what every member is given in one write.
type batch struct {
	runs     []run
	views    [][]byte
	bytes    int
	messages int
	excepts  []*membership // who does not get all of it
}

const (
	// batchRuns is how many runs, and views, a batch has at most.
	batchRuns = 64

	// givesPerTurn is how many members are given something in a turn. At some
	// microseconds each, the loop's other sessions wait for about a millisecond.
	givesPerTurn = 128

	// movesPerTurn is how many joins and leaves are carried out in a turn, at some tenths of a
	// microsecond each.
	movesPerTurn = 1024

	// keptOrders is how long a list of orders may be that is kept for the next turn.
	keptOrders = 1024
)

// run is the branch's errand. On the loop.
func (b *branch) run() {
	defer b.tally.add(b.stream.room)
	gives, moves := givesPerTurn, movesPerTurn
	for b.batch.messages > 0 || b.prepare(&moves) {
		if gives = b.giveAll(gives); gives < 0 {
			break
		}
		b.finish()
	}
	if b.batch.messages > 0 || b.next < len(b.taken) {
		b.stream.room.all.shared.Leave(b.loop, &b.errand) // the others first
	}
}

// workOff gives the members everything published so far, even if the loop has not been
// told yet, and in one turn. On the loop.
func (b *branch) workOff() {
	room := b.stream.room
	room.mu.Lock()
	until := b.total
	room.mu.Unlock()
	if b.reached == until {
		return
	}
	defer b.tally.add(room)
	moves := math.MaxInt
	for b.reached < until && (b.batch.messages > 0 || b.prepare(&moves)) {
		b.giveAll(len(b.members))
		b.finish()
	}
	room.all.shared.Leave(b.loop, &b.errand) // to take what has come meanwhile, or come to rest
}

// conclude works off what was ordered before the end of a stay, and that. It comes before
// whatever has it called, and what it meets itself comes before it, so it ends. On the loop.
func (b *branch) conclude(m *membership) {
	if m.over {
		return
	}
	room := b.stream.room
	defer b.tally.add(room)
	for !m.over {
		if one := 1; b.batch.messages > 0 || b.prepare(&one) {
			b.giveAll(len(b.members))
			b.finish()
		}
	}
	room.all.shared.Leave(b.loop, &b.errand)
}

// giveAll gives the batch to the members who have not been given it, but to so many at
// most. It returns how many more it might have been; -1 if there are others.
func (b *branch) giveAll(most int) int {
	if b.cursor > 0 {
		b.lookAgain()
	}
	for ; b.cursor < len(b.members); b.cursor++ {
		m := b.members[b.cursor]
		if m == nil {
			continue
		}
		if most == 0 {
			return -1
		}
		b.give(m)
		most--
	}
	return most
}

// prepare makes the next batch of what was ordered, and carries out the joins and leaves
// before it, of which it takes those from moves. It reports false if there is none, or
// there are no moves left.
func (b *branch) prepare(moves *int) bool {
	for b.batch.messages == 0 {
		if b.next == len(b.taken) && !b.take() {
			return false
		}
		for ; b.next < len(b.taken); b.next++ {
			o := &b.taken[b.next]
			if o.run.page == nil {
				if b.batch.messages > 0 {
					break
				}
				if *moves == 0 {
					return false
				}
				*moves--
				b.enter(o.join)
				b.part(o.leave)
				continue
			}
			if !b.batch.fits(o.run) {
				break
			}
			b.add(o.run)
		}
	}
	b.cursor, b.expiry = 0, 0
	return true
}

// lookAgain looks what of the batch has expired since the turn that began with it: who has
// not been given it does not get that.
func (b *branch) lookAgain() {
	now := b.stream.room.all.now()
	for _, r := range b.batch.runs {
		if r.labelled && r.until(now) != r {
			b.expiry = now
			return
		}
	}
}

// take takes what was ordered, and reports whether that was anything.
func (b *branch) take() bool {
	room := b.stream.room
	if cap(b.taken) > keptOrders {
		b.taken = nil
	}
	clear(b.taken)
	b.taken, b.next = b.taken[:0], 0
	room.mu.Lock()
	b.taken, b.coming = b.coming, b.taken
	b.bytes, b.told, b.handed = 0, false, false
	room.admit()
	if b.idle = len(b.taken) == 0; b.idle {
		b.stream.rest()
	}
	room.mu.Unlock()
	return len(b.taken) > 0
}

// enter makes m a member. It is nil, or over already, if its session has closed.
func (b *branch) enter(m *membership) {
	if m == nil || m.over {
		return
	}
	if old := m.after; old != nil {
		old.branch.conclude(old)
		m.after = nil
	}
	m.place = int32(len(b.members))
	b.members = append(b.members, m)
}

// part ends a stay.
func (b *branch) part(m *membership) {
	if m == nil || m.over {
		return
	}
	m.over = true
	b.tally.unsent += b.missed(m)
	if m.place != nowhere {
		b.members[m.place] = nil
		b.holes++
		m.place = nowhere
	}
	if m.behind != nil {
		b.tally.unsent += m.behind.messages
		b.tally.queued -= m.behind.clear()
		m.session.catchUp(m)
	}
	m.session.left(m)
	if b.holes > len(b.members)/2 && b.batch.messages == 0 {
		b.fill()
	}
}

// missed is how many messages were published during the stay of m, which has ended, and
// not given to it: its session has closed before.
func (b *branch) missed(m *membership) int {
	reached := b.reached
	if m.place != nowhere && int(m.place) < b.cursor {
		reached += uint64(b.batch.messages)
	}
	return int(m.until-max(reached, m.from)) - (m.excepts - m.passed)
}

// fill closes the holes in the list of members, while no batch is under way.
func (b *branch) fill() {
	b.members = slices.DeleteFunc(b.members, func(m *membership) bool { return m == nil })
	b.members = slices.Clip(b.members)
	for i, m := range b.members {
		m.place = int32(i)
	}
	b.holes = 0
}

// fits tells whether r may be added. One run always may.
func (t *batch) fits(r run) bool {
	return len(t.runs) == 0 || len(t.runs) < batchRuns && t.bytes+r.size() <= sock.MaxBytes
}

// add adds r to the batch, but for what has expired.
func (b *branch) add(r run) {
	t := &b.batch
	if !r.labelled {
		t.push(r)
		return
	}
	now, members := b.stream.room.all.now(), len(b.members)-b.holes
	r.each(func(n label) bool {
		e := n.except
		if e != nil && (e.branch != b || e.place == nowhere) {
			e = nil
		}
		switch {
		case n.expired(now):
			b.reached++
			b.tally.expired += members
			if e != nil {
				b.tally.expired--
				e.passed++
			}
			return false
		case e != nil && !slices.Contains(t.excepts, e):
			t.excepts = append(t.excepts, e)
		}
		return true
	}, func(kept run) {
		kept.page.retain()
		t.push(kept)
	})
	r.page.release()
}

func (t *batch) push(r run) {
	t.runs = append(t.runs, r)
	t.views = append(t.views, r.bytes())
	t.bytes += r.size()
	t.messages += r.len()
}

// give gives m the batch: to the kernel as far as it takes it, else to the backlog.
func (b *branch) give(m *membership) {
	t := &b.batch
	if b.expiry != 0 || len(t.excepts) > 0 && slices.Contains(t.excepts, m) {
		t = b.share(m)
	}
	var gone int
	var open bool
	switch {
	case t.messages == 0:
		return
	case m.behind == nil:
		gone, open = m.session.give(t, m)
	default:
		open = m.session.takesMore(m)
	}
	b.tally.delivered += gone
	switch {
	case gone == t.messages:
	case open && (m.behind != nil || m.session.lag(m)):
		b.fallBehind(m, t.runs, gone)
	default:
		b.tally.unsent += t.messages - gone
	}
}

// share returns what m is to get of the batch: not what is for the others, or has expired.
func (b *branch) share(m *membership) *batch {
	t := &b.scratch
	*t = batch{runs: t.runs[:0], views: t.views[:0]}
	for _, r := range b.batch.runs {
		r.each(func(n label) bool {
			switch {
			case n.except == m:
				m.passed++
			case n.expired(b.expiry):
				b.tally.expired++
			default:
				return true
			}
			return false
		}, t.push)
	}
	return t
}

// fallBehind adds runs to what m is behind by, but for their first messages, which
// are gone, and does what the policy says when that is too much.
func (b *branch) fallBehind(m *membership, runs []run, gone int) {
	before := m.behind.messages
	for _, r := range runs {
		skip := min(gone, r.len())
		gone -= skip
		if r.first += int32(skip); r.first < r.last {
			b.keep(m, r)
		}
	}
	b.tally.queued += m.behind.messages - before
	if m.behind.messages == 0 { // everything was dropped
		m.session.catchUp(m)
	}
}

// keep adds a run to what m is behind by, as its group's policy says.
func (b *branch) keep(m *membership, r run) {
	config, limit := &b.stream.room.config, b.stream.room.limit()
	switch config.Slow {
	case Conflate:
		for i := r.first; i < r.last; i++ {
			if m.behind.replace(run{r.page, i, i + 1, r.labelled}, r.label(i).key) {
				b.tally.dropped++
			}
		}
	default:
		m.behind.put(r)
	}
	switch {
	case m.behind.bytes <= limit:
	case config.Slow == CloseSlow:
		if m.session.closeSlow(ErrBehind) {
			b.tally.closed++
		}
	case config.Slow == DropNewest:
		b.tally.dropped += m.behind.trim(limit)
	default:
		b.tally.dropped += m.behind.shorten(limit)
	}
	if m.behind.sparse() {
		m.behind.compact(b.stream.room.all.shared)
	}
}

// finish ends the batch: everybody has been given it.
func (b *branch) finish() {
	t := &b.batch
	b.reached += uint64(t.messages)
	for _, r := range t.runs {
		r.page.release()
	}
	clear(t.runs)
	clear(t.views)
	clear(t.excepts)
	*t = batch{runs: t.runs[:0], views: t.views[:0], excepts: t.excepts[:0]}
	if b.holes > len(b.members)/2 {
		b.fill()
	}
}
