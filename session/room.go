package session

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session/frame"
)

// A room is a group that has members. It is there from the first Join to the last
// Leave; a Group finds it by name.
type room struct {
	all    *Groups
	name   string
	config GroupConfig
	counts counts
	size   atomic.Int32 // members; changed with the lock
	cork   transport.Held

	mu      sync.Mutex // taken before any session's
	gone    bool       // nobody may join: there is, or will be, another room of this name
	members map[*Session]*membership
	streams []*stream
	waiters []*waiter // of PublishContext
}

// A stream is those members of a room who read the same bytes, because they have the
// same codec. Guarded by the room's lock.
type stream struct {
	room     *room
	codec    frame.Codec
	branches []*branch // one per loop
	count    int       // members

	head, tail []byte // what goes around the message that is being written

	page   *page  // that is being filled; nil if nothing waits
	pages  uint64 // ever begun
	filled int    // bytes written since the stream last came to rest
	expect int    // how many those have been lately
}

// counts are a room's, or an engine's. The loops add.
type counts struct {
	published atomic.Uint64
	delivered atomic.Uint64
	queued    atomic.Int64
	dropped   atomic.Uint64
	expired   atomic.Uint64
	unsent    atomic.Uint64
	closed    atomic.Uint64
}

// tally is what one loop has to add.
type tally struct {
	delivered, queued, dropped, expired, unsent, closed int
}

// add adds the tally to c and what is above it, and begins a new one.
func (t *tally) add(r *room) {
	if *t == (tally{}) {
		return
	}
	for _, c := range [...]*counts{&r.counts, &r.all.counts} {
		c.delivered.Add(uint64(t.delivered))
		c.queued.Add(int64(t.queued))
		c.dropped.Add(uint64(t.dropped))
		c.expired.Add(uint64(t.expired))
		c.unsent.Add(uint64(t.unsent))
		c.closed.Add(uint64(t.closed))
	}
	*t = tally{}
}

func newRoom(all *Groups, name string) *room {
	r := &room{all: all, name: name, members: make(map[*Session]*membership)}
	r.config = all.configure(name)
	r.cork.Go = r.handOver
	return r
}

// limit is by how much a member may be behind, bytes.
func (r *room) limit() int {
	if r.config.QueueBytes == 0 {
		return r.all.shared.Cap
	}
	return r.config.QueueBytes
}

// stream returns the one for a codec, a new one if need be. The lock is held.
func (r *room) stream(codec frame.Codec) *stream {
	for _, st := range r.streams {
		if st.codec == codec {
			return st
		}
	}
	st := &stream{room: r, codec: codec, branches: make([]*branch, r.all.shared.Loops)}
	for i := range st.branches {
		b := &branch{stream: st, loop: i, idle: true}
		b.errand.Run = b.run
		st.branches[i] = b
	}
	r.streams = append(r.streams, st)
	return st
}

// join makes s a member, behind everything published so far. The lock is held.
func (r *room) join(s *Session) error {
	if r.members[s] != nil {
		return nil
	}
	b := r.stream(s.codec()).branches[r.all.shared.LoopOf(s.id)]
	m := &membership{session: s, branch: b, place: nowhere, from: b.total}
	if err := s.enrol(m); err != nil {
		b.stream.rest()
		return err
	}
	r.members[s] = m
	r.size.Add(1)
	b.count++
	b.stream.count++
	b.coming = append(b.coming, order{join: m})
	return nil
}

// leave ends the stay of s, behind everything published so far. The lock is held.
func (r *room) leave(s *Session) error {
	m := r.members[s]
	if m == nil {
		return ErrNotMember
	}
	s.strike(m)
	r.remove(m)
	m.branch.coming = append(m.branch.coming, order{leave: m})
	return nil
}

// expel ends a stay because the session has ended. On its loop.
func (r *room) expel(m *membership) {
	r.mu.Lock()
	if r.members[m.session] == m {
		r.remove(m)
		r.retire()
	}
	r.mu.Unlock()
	m.branch.part(m)
	m.branch.tally.add(r)
	r.mu.Lock()
	m.branch.stream.rest() // it may have been the last
	r.mu.Unlock()
}

// isOf tells whether m is, or was, a stay in the group that the room belongs to: in this one, or
// one of the same name before it.
func (r *room) isOf(m *membership) bool {
	other := m.branch.stream.room
	return other.all == r.all && other.name == r.name
}

func (r *room) remove(m *membership) {
	delete(r.members, m.session)
	m.until = m.branch.total
	r.size.Add(-1)
	m.branch.count--
	m.branch.stream.count--
}

// retire ends the room if it is empty. The lock is held.
func (r *room) retire() {
	if len(r.members) == 0 && !r.gone {
		r.gone = true
		r.admit()
		r.all.forget(r)
	}
}

// publish gives n to all members. The lock is held. With an error nobody gets it.
func (r *room) publish(n *Notice) error {
	if len(n.Bytes) > noticeMax {
		return tooLarge(len(n.Bytes))
	}
	for _, st := range r.streams {
		if err := st.check(n.Bytes); err != nil {
			return err
		}
	}
	var label label
	if r.config.Slow == Conflate {
		label.key = n.Key
	}
	if n.TTL > 0 {
		now := r.all.now()
		label.expires = now + min(int64(n.TTL), math.MaxInt64-now)
	}
	if n.Except != nil {
		if label.except = r.members[n.Except]; label.except != nil {
			label.except.excepts++
		}
	}
	r.counts.published.Add(1)
	r.all.counts.published.Add(1)
	for _, st := range r.streams {
		if st.count > 0 {
			st.write(n.Bytes, label)
		}
	}
	return nil
}

// full tells whether a loop is so far behind that nothing is taken.
func (r *room) full() bool {
	for _, st := range r.streams {
		for _, b := range st.branches {
			if b.bytes >= r.all.shared.Cap {
				return true
			}
		}
	}
	return false
}

// unlock releases the lock, after something may have come: the loops are told when
// the handlers that run have returned.
func (r *room) unlock() {
	tell := false
	for _, st := range r.streams {
		for _, b := range st.branches {
			if len(b.coming) > 0 && !b.told {
				b.told, tell = true, true
			}
		}
	}
	r.mu.Unlock()
	if tell {
		r.all.shared.Cork.Hold(&r.cork)
	}
}

// handOver tells the loops, without the lock: when a loop has ended, whoever comes does
// its errand.
func (r *room) handOver() {
	var told [16]*branch
	for n := len(told); n == len(told); {
		n = 0
		r.mu.Lock()
		for _, st := range r.streams {
			for _, b := range st.branches {
				if b.told && !b.handed && n < len(told) {
					b.handed = true
					told[n] = b
					n++
				}
			}
		}
		r.mu.Unlock()
		for _, b := range told[:n] {
			r.all.shared.Leave(b.loop, &b.errand)
		}
	}
}

// admit lets those try again who wait for loops to catch up. The lock is held.
func (r *room) admit() {
	for _, w := range r.waiters {
		w.tell()
	}
	r.waiters = nil
}

// check tells whether payload can be sent as a message of the stream.
func (st *stream) check(payload []byte) (err error) {
	if st.codec == nil || st.count == 0 {
		return nil
	}
	if st.head, err = st.codec.Head(st.head[:0], payload); err == nil {
		st.tail = st.codec.Tail(st.tail[:0]) // here, since it may panic
	}
	return err
}

// write adds a message, which was just checked, to the page and to what is coming to
// the branches.
func (st *stream) write(payload []byte, n label) {
	size := len(st.head) + len(payload) + len(st.tail)
	p := st.pageFor(size)
	p.write(st.head)
	p.write(payload)
	p.write(st.tail)
	p.end(n)
	st.filled += size
	for _, b := range st.branches {
		if b.count > 0 {
			b.message(p, n != label{}, size+keyCost(n.key))
		}
	}
}

// pageFor returns a page with room for a message of n bytes.
func (st *stream) pageFor(n int) *page {
	if st.page != nil {
		if st.page.fits(n) {
			return st.page
		}
		st.page.release()
	}
	most := min(pageMax, max(pageMin, st.room.limit()))
	if st.room.config.Slow == Conflate {
		most = min(most, pageConflate)
	}
	size := min(max(st.expect+st.expect/4, st.filled, pageMin), most)
	size = max(n, size)
	st.page = newPage(st.room.all.shared, size, min(size, pageMax)/perMessage+1)
	st.pages++
	st.page.number = st.pages
	return st.page
}

// rest lets go of the page once loops have taken everything on it: what comes next
// begins another. And it lets go of the whole stream if nobody is in it. The lock is
// held.
func (st *stream) rest() {
	if slices.ContainsFunc(st.branches, func(b *branch) bool { return len(b.coming) > 0 }) {
		return
	}
	if st.page != nil {
		st.page.release()
		st.page = nil
		st.expect = max(st.filled, st.expect/2)
		st.filled = 0
	}
	if st.count == 0 && !slices.ContainsFunc(st.branches, func(b *branch) bool { return !b.idle }) {
		st.room.streams = slices.DeleteFunc(st.room.streams, func(other *stream) bool { return other == st })
	}
}

// message adds the last message of p, of n bytes, to what is coming. A small one counts
// for what it takes.
func (b *branch) message(p *page, labelled bool, n int) {
	b.bytes += max(n, perMessage)
	b.total++
	last := int32(p.count)
	if k := len(b.coming); k > 0 {
		if r := &b.coming[k-1].run; r.page == p && r.last == last-1 {
			r.last = last
			r.labelled = r.labelled || labelled
			return
		}
	}
	p.retain()
	b.coming = append(b.coming, order{run: run{p, last - 1, last, labelled}})
}

// list returns the sessions that are in the room, by age, and those of one age by id. The
// lock is held.
func (r *room) list() []*Session {
	list := make([]*Session, 0, len(r.members))
	for s := range r.members {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Session) int {
		return cmp.Or(cmp.Compare(a.opened, b.opened), cmp.Compare(a.id, b.id))
	})
	return list
}
