package enginetest

import (
	"errors"
	"slices"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// casts is what is known of messages to sessions without a group: Broadcast and SendTo.
// They come in the order of the calls, once each, or not at all.
type casts struct {
	sim   *simulation
	posts []*cast
	found int // sessions that SendTo found, in all
	bytes int64
	most  int // bytes of one
}

// cast is one of them.
type cast struct {
	body []byte
	all  bool
	to   []*track // who is to get it; with all, who was there
	seen []*track
}

// send sends one of n bytes to all, or to some.
func (c *casts) send(d draws, n int) {
	s := c.sim
	number := len(c.posts)
	k := &cast{body: append(header(classCast, number), numbers[number%1009:][:n]...), all: d.chance(0.5)}
	var ids []uint64
	for _, t := range s.tracks {
		if t.state == waiting || t.session.State() == session.Closed && !d.chance(0.2) {
			continue
		}
		if k.all {
			if t.session.State() == session.Open {
				k.to = append(k.to, t)
			}
		} else if d.chance(0.6) {
			ids = append(ids, t.session.ID())
			if _, err := s.engine.Session(t.session.ID()); err == nil {
				k.to = append(k.to, t)
			}
		}
		t.pushed = true
		t.peak += len(k.body) + 16
		t.pieces += 3
	}
	c.posts = append(c.posts, k) // it may go out before the call returns
	p := slices.Clone(k.body)
	found, err := len(k.to), error(nil)
	if k.all {
		err = s.engine.Broadcast(p)
	} else {
		found, err = s.engine.SendTo(ids, p)
	}
	clear(p)
	s.note("cast %d of %d bytes, to all: %v, found %d: %v", number, n, k.all, found, err)
	switch {
	case errors.Is(err, session.ErrBufferFull), errors.Is(err, engine.ErrStopped) && s.over():
		if len(k.seen) > 0 {
			s.failf("cast %d was refused, and goes out", number)
		}
		c.posts = c.posts[:number]
		return
	case err != nil:
		s.failf("cast %d: %v", number, err)
	case !k.all && found != len(k.to):
		s.failf("cast %d: %d sessions found, %d are there", number, found, len(k.to))
	}
	if !k.all {
		c.found += found
	}
	c.bytes += int64(len(k.body))
	c.most = max(c.most, len(k.body))
}

// begins is told that a cast has begun to leave.
func (c *casts) begins(t *track, number int) []byte {
	s := c.sim
	if number >= len(c.posts) {
		s.failf("%s: cast %d, which nobody sent", t, number)
		return nil
	}
	k := c.posts[number]
	later := slices.ContainsFunc(c.posts[number+1:], func(other *cast) bool { return slices.Contains(other.seen, t) })
	switch {
	case slices.Contains(k.seen, t):
		s.failf("%s: cast %d comes twice", t, number)
	case later:
		s.failf("%s: cast %d comes behind later ones", t, number)
	case !k.all && !slices.Contains(k.to, t):
		s.failf("%s: cast %d, which was for others", t, number)
	}
	k.seen = append(k.seen, t)
	t.casts++
	return k.body
}

// queued is how many bytes of casts may be queued with a session.
func (c *casts) queued(t *track) (n int) {
	for _, k := range c.posts {
		if (k.all || slices.Contains(k.to, t)) && !slices.Contains(k.seen, t) {
			n += len(k.body) + 16
		}
	}
	return n
}

// checkSettled looks, when nobody can do anything, for casts that nobody was given.
func (c *casts) checkSettled() {
	least := uint64(c.found)
	for _, k := range c.posts {
		for _, t := range k.to {
			if k.all && t.session.State() == session.Open {
				least++
			}
		}
	}
	if st := c.sim.engine.Stats(); st.Cast+st.CastRefused < least {
		c.sim.failf("casts: %d were given and %d refused, %d are owed at least", st.Cast, st.CastRefused, least)
	}
}

// check is what must hold at the end.
func (c *casts) check(st engine.Stats) {
	seen := 0
	for _, k := range c.posts {
		seen += len(k.seen)
	}
	switch {
	case uint64(seen) > st.Cast:
		c.sim.failf("casts: %d came, %d were given", seen, st.Cast)
	case st.Cast+st.CastRefused < uint64(c.found):
		c.sim.failf("casts: %d were given and %d refused, %d found", st.Cast, st.CastRefused, c.found)
	}
}
