package enginetest

import (
	"context"
	"errors"
	"slices"

	"github.com/weirnet/weir/session"
)

// publish sends a message to the group, from no one or a member. Where nobody would be
// waited for it may wait for room.
func (h *hall) publish(from *track, d draws, waits bool) {
	c, s := h.crowd, h.crowd.sim
	p, notice := h.compose(from, d)
	ctx := context.Context(nil)
	if waits {
		ctx = s.patience(d)
	}
	p.place(h, notice.Bytes) // what follows may see it go out before Publish returns
	var err error
	if waits {
		if w := s.hands.current; w != nil {
			w.onWait, w.onRetry = func() { p.remove(h) }, func() { p.place(h, notice.Bytes) }
			defer func() { w.onWait, w.onRetry = nil, nil }()
		}
		err = h.group.PublishContext(ctx, notice)
	} else {
		err = h.group.Publish(notice)
	}
	clear(notice.Bytes)
	s.note("%s: message of %d bytes, TTL %v, key %q, except %v, placed: %v, %v", h, len(p.body), p.ttl, p.key, p.except, p.placed, err)
	switch {
	case s.failed:
	case err == nil, errors.Is(err, errPlane):
		if s.plane != nil {
			s.plane.published++
		}
		if errors.Is(err, errPlane) != (s.plane != nil && h.passing == p && s.plane.refused) {
			s.failf("%s: the backplane's error is not the publisher's: %v", h, err)
		}
		p.count(c)
	case waits && errors.Is(err, errImpatient):
	case errors.Is(err, session.ErrBufferFull) && (!waits || s.hands.current == nil):
		p.remove(h)
	default:
		s.failf("%s: publish: %v", h, err)
	}
	h.look()
}

// compose draws a message.
func (h *hall) compose(from *track, d draws) (*post, session.Notice) {
	n := d.upTo(2 << 10)
	if d.chance(0.02) {
		n = d.upTo(64<<10 - headerBytes - 1)
	}
	p := &post{}
	notice := session.Notice{Bytes: append(header(h.number, 0), numbers[len(h.posts)%1009:][:n]...)}
	if d.chance(0.7) {
		p.key = string(rune('a' + d.IntN(4)))
		notice.Key = p.key
	}
	if d.chance(0.2) {
		p.ttl = d.within(h.crowd.ttl)
		notice.TTL = p.ttl
	}
	if from != nil && d.chance(0.5) {
		p.except, notice.Except = from, from.session
	}
	return p, notice
}

// place notes that a message is published now, and numbers it.
func (p *post) place(h *hall, bytes []byte) {
	h.look()
	copy(bytes, header(h.number, len(h.posts)))
	p.put(h, bytes)
}

// put has it come behind those that were published before.
func (p *post) put(h *hall, bytes []byte) {
	c := h.crowd
	p.body = slices.Clone(bytes)
	if p.ttl > 0 {
		p.expires = c.sim.now.Add(p.ttl)
	}
	h.passing, c.publishedAt = p, c.sim.now
	if len(h.stays) == 0 {
		return
	}
	p.placed = true
	h.posts = append(h.posts, p)
	c.published++
	c.largest = max(c.largest, len(p.body))
	p.owed = 0
	for _, m := range h.stays {
		if m.track != p.except {
			p.owed++
		}
	}
	c.owed += p.owed
}

// remove notes that it was not published after all.
func (p *post) remove(h *hall) {
	if !p.placed {
		return
	}
	p.placed = false
	last := len(h.posts) - 1
	if h.posts[last] != p {
		h.crowd.sim.failf("%s: a message was refused after others were taken", h)
		return
	}
	h.posts = h.posts[:last]
	h.crowd.published--
	h.crowd.owed -= p.owed
}

// count notes that it is on its way.
func (p *post) count(c *crowd) {
	if !p.placed {
		return
	}
	if p.ttl > 0 {
		c.timely++
	}
	c.bytes += 2*int64(len(p.body)+64) + 64
}
