package enginetest

import (
	"bytes"
	"errors"
	"time"

	"github.com/weirnet/weir/session"
)

// plane is a session.Backplane, and an actor that plays the engines at its other end.
type plane struct {
	sim       *simulation
	draws     draws
	deliver   func(group string, n session.Notice) error
	left      int // messages to come from there
	at        time.Time
	failing   float64
	refused   bool // the last that was passed
	passed    int
	published int // of those that were published here and were to be passed
	cancelled int
}

var errPlane = errors.New("the backplane takes nothing now")

// Publish implements session.Backplane.
func (b *plane) Publish(group string, n session.Notice) error {
	s := b.sim
	b.passed++
	h := s.crowd.hall(group)
	switch {
	case h == nil:
		s.failf("the backplane is given a message of %q", group)
	case !bytes.Equal(n.Bytes, h.passing.body) || n.Key != h.passing.key || n.TTL != h.passing.ttl:
		s.failf("the backplane is given another message of %s than was published", h)
	}
	if b.refused = b.draws.chance(b.failing); b.refused {
		return errPlane
	}
	return nil
}

// Subscribe implements session.Backplane.
func (b *plane) Subscribe(deliver func(group string, n session.Notice) error) (cancel func(), err error) {
	b.deliver = deliver
	return func() { b.cancelled++ }, nil
}

func (b *plane) String() string { return "" }

func (b *plane) ready() bool {
	return b.left > 0 && b.cancelled == 0 && b.deliver != nil && !b.sim.now.Before(b.at)
}

func (b *plane) wakes() time.Time {
	if b.left > 0 && b.cancelled == 0 && b.at.After(b.sim.now) {
		return b.at
	}
	return time.Time{}
}

// step brings a message from elsewhere.
func (b *plane) step() {
	s := b.sim
	b.left--
	b.at = s.now.Add(b.draws.within(100 * time.Millisecond))
	h := s.crowd.halls[b.draws.IntN(len(s.crowd.halls))]
	p, notice := h.compose(nil, b.draws)
	p.place(h, notice.Bytes)
	passed := b.passed
	err := b.deliver(h.name, notice)
	clear(notice.Bytes)
	s.note("%s: from the backplane, %d bytes: %v", h, len(p.body), err)
	switch {
	case err == nil:
		p.count(s.crowd)
	case errors.Is(err, session.ErrBufferFull):
		p.remove(h)
	default:
		s.failf("%s: from the backplane: %v", h, err)
	}
	if b.passed != passed {
		s.failf("%s: what came from the backplane goes back there", h)
	}
	h.look()
}

// check is what must hold at the end.
func (b *plane) check() {
	if b.passed != b.published {
		b.sim.failf("the backplane was given %d messages, %d were published", b.passed, b.published)
	}
	if b.cancelled != 1 {
		b.sim.failf("the backplane was let go %d times", b.cancelled)
	}
}
