package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirnet/weir/session"
)

// crowd is what is known of all groups, from outside the engine. While a group is
// called nobody else runs, so the order of calls is the order of publishing.
type crowd struct {
	sim         *simulation
	halls       []*hall
	chatty      float64       // how often a handler uses a group
	publishedAt time.Time     // the last one
	published   int           // messages
	owed        int           // messages, once for each member that is to get it
	bytes       int64         // of those, as they lie in memory
	largest     int           // message, as published
	slow        int           // sessions closed for being slow
	timely      int           // messages that expire
	ttl         time.Duration // of those at most
}

// hall is a group.
type hall struct {
	crowd   *crowd
	number  int
	name    string
	config  session.GroupConfig
	group   *session.Group
	posts   []*post
	passing *post   // that was published last
	began   int     // the first post since the group has had members
	stays   []*stay // of members
}

// post is a message to a group.
type post struct {
	body    []byte
	key     string
	ttl     time.Duration
	expires time.Time // zero: never
	except  *track
	placed  bool // there were members, when it was published
	owed    int  // members that are to get it
}

// stay is a membership, from one Join to the next Leave or the end of the session.
type stay struct {
	track    *track
	hall     *hall
	from, to int            // posts, to exclusive; to is far away while it lasts
	next     int            // the post that may come next, unless the policy is Conflate
	seen     int            // posts that came, or began to
	latest   map[string]int // by key: the post that came last, with Conflate
	snapshot int            // bytes of the session's own that are to leave before any post
}

const forever = 1 << 30

// gather makes some groups.
func (s *simulation) gather(d draws) {
	c := &crowd{sim: s, chatty: pick(d, 0.05, 0.3), ttl: pick(d, 300*time.Millisecond, 3*time.Second)}
	for i := range 1 + d.IntN(4) {
		h := &hall{crowd: c, number: i, name: fmt.Sprintf("group %d", i)}
		h.config = session.GroupConfig{Slow: session.SlowPolicy(d.IntN(4)), QueueBytes: pick(d, 0, d.between(100, 128<<10))}
		if d.chance(0.5) {
			h.config.OnLag = h.onLag
		}
		c.halls = append(c.halls, h)
	}
	s.crowd = c
}

// hall finds a group by its name; nil if there is none.
func (c *crowd) hall(name string) *hall {
	for _, h := range c.halls {
		if h.name == name {
			return h
		}
	}
	return nil
}

// configure is engine.WithGroups.
func (c *crowd) configure(name string) session.GroupConfig {
	if h := c.hall(name); h != nil {
		return h.config
	}
	c.sim.failf("a group %q begins", name)
	return session.GroupConfig{}
}

// open looks the groups up.
func (c *crowd) open() {
	for _, h := range c.halls {
		h.group = c.sim.engine.Group(h.name)
	}
}

func (h *hall) String() string { return fmt.Sprintf("%s (%s)", h.name, h.config.Slow) }

// onLag is told that a member has fallen behind, or has caught up.
func (h *hall) onLag(g *session.Group, s *session.Session, behind bool) {
	t := s.Value().(*track)
	h.crowd.sim.note("%s lags in %s: %v", t, h, behind)
	if t.lags == nil {
		t.lags = make([]bool, len(h.crowd.halls))
	}
	switch {
	case t.state != opened || t.inHandler:
		h.crowd.sim.failf("%s: OnLag in state %d, handler: %v", t, t.state, t.inHandler)
	case g.Name() != h.name:
		h.crowd.sim.failf("%s: OnLag of %s for %s", t, g.Name(), h)
	case t.joinedTimes(h) == 1 && t.lags[h.number] == behind:
		h.crowd.sim.failf("%s: OnLag of %s tells %v again", t, h, behind)
	}
	t.lags[h.number] = behind
}

func (t *track) joinedTimes(h *hall) (n int) {
	for _, m := range t.stays {
		if m.hall == h {
			n++
		}
	}
	return n
}

// look ends the stays of sessions that have closed, and compares members and counters.
func (h *hall) look() {
	s := h.crowd.sim
	h.stays = slices.DeleteFunc(h.stays, func(m *stay) bool {
		if m.track.session.State() != session.Closed {
			return false
		}
		m.to = len(h.posts)
		return true
	})
	if len(h.stays) == 0 {
		h.began = len(h.posts)
	}
	st := h.group.Stats()
	switch {
	case st.Members != len(h.stays):
		s.failf("%s: %d members, %d counted", h, len(h.stays), st.Members)
	case st.Published != uint64(len(h.posts)-h.began):
		s.failf("%s: %d published, %d counted", h, len(h.posts)-h.began, st.Published)
	case st.Queued < 0:
		s.failf("%s: %d queued", h, st.Queued)
	}
	for _, m := range h.stays {
		if !h.group.Has(m.track.session) {
			s.failf("%s: %s is no longer a member", h, m.track)
		}
	}
}

// find returns the stay of t that lasts, if it is a member.
func (h *hall) find(t *track) *stay {
	for _, m := range h.stays {
		if m.track == t {
			return m
		}
	}
	return nil
}

// join has t join, behind a snapshot or not.
func (h *hall) join(t *track, snapshot bool) {
	s := h.crowd.sim
	if t.plan.turner {
		return // groups would go on with the codec it had
	}
	h.look()
	member := h.find(t) != nil
	end := 0
	var give func() error
	var other *rival
	if snapshot {
		give = func() error {
			if member {
				s.failf("%s: a snapshot for %s, which is a member", h, t)
			}
			s.quiet++ // nobody else runs who might want the group
			defer func() { s.quiet-- }()
			p := slices.Clone(numbers[t.port%97:][:t.upTo(4<<10)])
			t.pushed = true
			err := t.send(p, "Send", func() error { return t.session.Send(p) })
			clear(p)
			end = len(t.out.direct)
			if err == nil && s.plane == nil && t.session.State() == session.Open && t.chance(0.3) {
				other = h.compete(t)
			}
			return err
		}
	}
	err := h.group.JoinAfter(t.session, give)
	s.note("%s joins %s, snapshot: %v, %v", t, h, snapshot, err)
	if err != nil {
		if st := t.session.State(); st == session.Open && !errors.Is(err, session.ErrBufferFull) && !errors.Is(err, session.ErrClosed) {
			s.failf("%s: cannot join %s: %v", t, h, err)
		}
		if other != nil {
			other.finish()
		}
		h.look()
		return
	}
	if !member {
		t.pushed = true
		m := &stay{track: t, hall: h, from: len(h.posts), to: forever, next: len(h.posts), snapshot: end}
		t.stays = append(t.stays, m)
		h.stays = append(h.stays, m)
	}
	if other != nil {
		other.finish()
	}
	h.look()
}

// leave has t leave.
func (h *hall) leave(t *track) {
	s := h.crowd.sim
	h.look()
	m := h.find(t)
	err := h.group.Leave(t.session)
	s.note("%s leaves %s: %v", t, h, err)
	switch {
	case (err == nil) != (m != nil) || err != nil && !errors.Is(err, session.ErrNotMember):
		s.failf("%s: %s leaves: %v", h, t, err)
	case m != nil:
		m.to = len(h.posts)
		h.stays = slices.DeleteFunc(h.stays, func(other *stay) bool { return other == m })
	}
	h.look()
}

// kick closes all members.
func (h *hall) kick() {
	h.look()
	for _, m := range h.stays {
		m.track.meddled = true
	}
	n := h.group.Kick(session.ReasonOverLimit)
	h.crowd.sim.note("%s: %d are kicked", h, n)
	if n > len(h.stays) {
		h.crowd.sim.failf("%s: %d of %d members were kicked", h, n, len(h.stays))
	}
}

// begins is told that a message of a group's has begun to leave, and returns it.
func (c *crowd) begins(t *track, group, number int, at time.Time) []byte {
	s := c.sim
	if group >= len(c.halls) || number >= len(c.halls[group].posts) {
		s.failf("%s: message %d of group %d, which nobody published", t, number, group)
		return nil
	}
	h := c.halls[group]
	p := h.posts[number]
	i := slices.IndexFunc(t.stays, func(m *stay) bool { return m.hall == h && m.from <= number && number < m.to })
	if i < 0 {
		s.failf("%s: message %d of %s, which is not of its time there", t, number, h)
		return nil
	}
	m := t.stays[i]
	later := slices.ContainsFunc(t.stays[i+1:], func(other *stay) bool { return other.hall == h && other.seen > 0 })
	switch {
	case p.except == t:
		s.failf("%s: message %d of %s, which was for the others", t, number, h)
	case !p.expires.IsZero() && !at.Add(-s.heldUp(t)).Before(p.expires): // weir looked before it was held up
		s.failf("%s: message %d of %s, which expired %v ago; it was held up for %v", t, number, h, at.Sub(p.expires), s.heldUp(t))
	case t.out.at < m.snapshot:
		s.failf("%s: message %d of %s before the snapshot", t, number, h)
	case later:
		s.failf("%s: message %d of %s behind those of a later stay", t, number, h)
	}
	m.seen++
	if h.config.Slow == session.Conflate {
		if m.latest == nil {
			m.latest = make(map[string]int)
		}
		if last, ok := m.latest[p.key]; ok && last >= number {
			s.failf("%s: message %d of %s comes after %d, both for %q", t, number, h, last, p.key)
		}
		m.latest[p.key] = number
	} else {
		m.advance(number, at)
	}
	return p.body
}

// advance goes on to a post that has come. Those that it leaves out must not be missed.
func (m *stay) advance(number int, at time.Time) {
	s, h := m.hall.crowd.sim, m.hall
	if number < m.next {
		s.failf("%s: message %d of %s comes after %d", m.track, number, h, m.next-1)
		return
	}
	if missed := m.missed(number, at); missed >= 0 && h.config.Slow == session.CloseSlow {
		s.failf("%s: message %d of %s comes, %d did not", m.track, number, h, missed)
	}
	m.next = number + 1
}

// missed is the first post before a number that is still to come; -1 if there is none.
func (m *stay) missed(before int, at time.Time) int {
	for i := m.next; i < min(before, m.to); i++ {
		p := m.hall.posts[i]
		if p.except != m.track && (p.expires.IsZero() || at.Before(p.expires)) {
			return i
		}
	}
	return -1
}

// tooSlow tells whether the session was closed because its peer, or a member of a group,
// did not keep up.
func (t *track) tooSlow() bool {
	if t.reason == nil || !errors.Is(t.reason.Err, session.ErrBehind) {
		return t.reason != nil && t.reason.Reason == session.ReasonSlowConsumer && t.peer.lazy > slack
	}
	strict := slices.ContainsFunc(t.stays, func(m *stay) bool { return m.hall.config.Slow == session.CloseSlow })
	if t.reason.Reason != session.ReasonSlowConsumer || !strict {
		t.sim.failf("%s: closed by a group: %v", t, t.reason)
	}
	return true
}

// seen is how many messages of groups have come to the connection.
func (t *track) seen() (n int) {
	for _, m := range t.stays {
		n += m.seen
	}
	return n
}

// checkSettled looks, when nobody can do anything until time passes, for output that
// could be written, and input that could be read.
func (s *simulation) checkSettled() {
	if s.watch.limit > 0 {
		s.watch.check(s)
	}
	if s.ending {
		return
	}
	if s.casts != nil && len(s.hands.list) == 0 {
		s.casts.checkSettled()
	}
	// What handlers publish that then block is let go when the overseer looks.
	held := s.crowd != nil && len(s.hands.list) > 0 && s.now.Sub(s.crowd.publishedAt) < 3*overseerTick
	for _, t := range s.tracks {
		if t.state != opened || t.session.State() != session.Open || t.inHandler {
			continue
		}
		local := t.peer.socket.peer
		if local.dead || local.failure != 0 || local.shut || t.peer.socket.closed || !local.roomy() {
			continue
		}
		st := t.session.Stats()
		if st.Queued > 0 {
			s.failf("%s: there is room, and %d bytes are queued", t, st.Queued)
		}
		if n := len(local.in); n > 0 && st.Unread == 0 && !t.paused && s.intake == (intake{}) {
			s.failf("%s: nothing keeps its loop from reading, and %d bytes wait", t, n)
		}
		t.flow.checkSettled(t, st.Queued)
		for _, m := range t.stays {
			if !held {
				m.checkSettled()
			}
		}
	}
}

// checkSettled looks for a message that is to be there by now.
func (m *stay) checkSettled() {
	s, h := m.hall.crowd.sim, m.hall
	if m.to != forever {
		return // what it was behind by when it left is lost
	}
	switch h.config.Slow {
	case session.CloseSlow:
		if missed := m.missed(len(h.posts), s.now); missed >= 0 {
			s.failf("%s: there is room, and message %d of %s does not come", m.track, missed, h)
		}
	case session.Conflate:
		if h.config.QueueBytes != 0 || s.cap < 32*(h.crowd.largest+128) {
			return // the latest may have been dropped
		}
		for key, i := range m.owed() {
			if last, ok := m.latest[key]; !ok || last < i {
				s.failf("%s: there is room, and message %d of %s, the latest for %q, does not come", m.track, i, h, key)
			}
		}
	}
}

// owed are the latest posts for each key, but for those that expire.
func (m *stay) owed() map[string]int {
	latest := make(map[string]int)
	for i := m.from; i < len(m.hall.posts); i++ {
		switch p := m.hall.posts[i]; {
		case p.except == m.track:
		case p.expires.IsZero():
			latest[p.key] = i
		default:
			delete(latest, p.key) // it may have taken the place of another, and expired
		}
	}
	return latest
}

// act does something with a group, for one of the connections: anything that a program
// may do. Who may not wait for others is not to.
func (c *crowd) act(t *track, d draws, mayWait bool) {
	s := c.sim
	h := c.halls[d.IntN(len(c.halls))]
	switch d.IntN(12) {
	case 0, 1:
		h.join(t, d.chance(0.5))
	case 2:
		h.leave(t)
	case 3:
		h.look()
		n := 0
		for range h.group.Members {
			n++
		}
		if n != len(h.stays) {
			s.failf("%s: %d of %d members are listed", h, n, len(h.stays))
		}
	default:
		for range d.upTo(20) {
			h.publish(t, d, d.chance(0.2) && mayWait)
		}
	}
}

// memory is what groups may take in buffers, bytes.
func (c *crowd) memory() int64 {
	if c == nil {
		return 0
	}
	return c.bytes + int64(len(c.halls)*len(codecs)*(256<<10)) + int64(len(c.sim.tracks))*4*int64(c.largest+1024)
}

// check is what must hold at the end. Given is how many casts sessions have taken.
func (c *crowd) check(st session.GroupStats, groups, given int) {
	s := c.sim
	seen, vague, came := 0, 0, 0
	for _, t := range s.tracks {
		seen += t.seen()
		if t.session == nil {
			continue
		}
		came += int(t.session.Stats().MessagesOut) - t.out.accepted - t.lettersTaken
		if t.out.lost > 0 || len(t.out.undecided) > 0 {
			vague++
		}
		if t.reason != nil && errors.Is(t.reason.Err, session.ErrBehind) {
			c.slow++
		}
	}
	dropping := slices.ContainsFunc(c.halls, func(h *hall) bool { return h.config.Slow != session.CloseSlow })
	sum := int(st.Delivered) + int(st.Dropped) + int(st.Expired) + int(st.Unsent)
	switch {
	case st.Members != 0 || groups != 0:
		s.failf("%d groups with %d members are left", groups, st.Members)
	case int(st.Published) != c.published:
		s.failf("groups: %d published, counted %+v", c.published, st)
	case st.Queued != 0:
		s.failf("groups: still queued, %+v", st)
	case sum != c.owed:
		s.failf("groups: %d messages were for members, counted %d: %+v", c.owed, sum, st)
	case int(st.Delivered)+given != came:
		s.failf("groups: sessions counted %d delivered, groups %+v", came, st)
	case vague == 0 && int(st.Delivered) != seen || int(st.Delivered) < seen:
		s.failf("groups: %d came, counted %+v", seen, st)
	case int(st.Closed) != c.slow:
		s.failf("groups: %d sessions were closed for being slow, counted %+v", c.slow, st)
	case st.Dropped > 0 && !dropping, st.Expired > 0 && c.timely == 0:
		s.failf("groups: dropped or expired for no reason, %+v", st)
	}
}
