package session

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Group is a set of sessions that are sent the same messages: a room, a topic. It has
// a name, begins with the first Join and is gone when the last member has left or
// closed. A Group is a handle: it stays good when the group is gone, and several
// handles of one name are the same group. All methods may be called from any
// goroutine, handlers included.
//
// A message is framed and copied once, for all members with the same codec, and
// written from there to each member by the loop that the member lives on. Members get
// messages in the order of publishing; there is no order between what a group sends
// and what Session.Send does. A member that does not read delays nobody: what it is
// behind by waits for it, up to a limit, and then SlowPolicy says what happens.
type Group struct {
	all  *Groups
	name string
	last atomic.Pointer[room] // the room that was found last
}

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

// enter returns the group's room, locked; nil if it has no members and none is to be
// made.
func (g *Group) enter(make bool) *room {
	for {
		r := g.last.Load()
		if r == nil {
			if r = g.all.find(g.name, make); r == nil {
				return nil
			}
			g.last.Store(r)
		}
		r.mu.Lock()
		if !r.gone {
			return r
		}
		r.mu.Unlock()
		g.last.CompareAndSwap(r, nil)
	}
}

// Join makes s a member: it gets what is published from now on, until Leave or its
// end, framed by the codec that it has now. It may be in any number of groups. Joining
// twice does nothing. The error is ErrClosed, ErrNotConnected before OnOpen, ErrGroupConfig,
// or ErrMailboxFull when s has left groups so often that its loop, which is late, has yet
// to learn of 4096 times.
func (g *Group) Join(s *Session) error { return g.JoinAfter(s, nil) }

// JoinAfter is Join that first calls snapshot, during which nothing is published to
// the group: what snapshot sends to s, with s.Send, is all that was before, and what
// the group sends is all that comes after; what s has not been given of an earlier stay it
// does not get any more. Snapshot must not block or use the group; groups whose snapshots
// use each other must do so in one order. If
// it returns an error, s does not join, and JoinAfter returns it.
func (g *Group) JoinAfter(s *Session, snapshot func() error) error {
	if snapshot != nil {
		cork := &g.all.shared.Cork
		cork.Gather()       // it may send to other groups, whose hand-over must not come to this one's
		defer cork.Relent() // this may be the snapshot of another one, which is locked
	}
	r := g.enter(true)
	defer r.unlock()
	defer r.retire() // if nobody has joined
	if err := r.config.check(); err != nil {
		return fmt.Errorf("%w of %q: %w", ErrGroupConfig, r.name, err)
	}
	if r.members[s] == nil && snapshot != nil {
		s.cutShort(r)
		if err := snapshot(); err != nil {
			return err
		}
	}
	return r.join(s)
}

// Leave ends the stay of s: it gets what was published before, if it is not behind, and
// nothing later. The error is ErrNotMember.
func (g *Group) Leave(s *Session) error {
	r := g.enter(false)
	if r == nil {
		return ErrNotMember
	}
	defer r.unlock()
	defer r.retire()
	return r.leave(s)
}

// Has tells whether s is a member.
func (g *Group) Has(s *Session) bool {
	r := g.enter(false)
	if r == nil {
		return false
	}
	defer r.mu.Unlock()
	return r.members[s] != nil
}

// Members calls yield with those who were members when it was called, oldest session
// first. It is an iter.Seq.
func (g *Group) Members(yield func(*Session) bool) {
	r := g.enter(false)
	if r == nil {
		return
	}
	list := r.list()
	r.mu.Unlock()
	for _, s := range list {
		if !yield(s) {
			return
		}
	}
}

// Send publishes p to all members; see Publish.
func (g *Group) Send(p []byte) error { return g.Publish(Notice{Bytes: p}) }

// SendExcept publishes p to all members but s.
func (g *Group) SendExcept(s *Session, p []byte) error {
	return g.Publish(Notice{Bytes: p, Except: s})
}

// Publish gives n to all members. Its bytes may be used again when it returns. It
// never waits for members: nil means that each is given the message, or that Stats
// will count it for that member as dropped, expired or unsent. To a group without
// members it does nothing. Messages that handlers publish go out when those return. A
// session that is closing gets nothing any more, not even what was published just before:
// its last word is Session.SendAndClose.
//
// ErrBufferFull means that loops are far behind with the group, by more than the cap
// of a session's output, and nobody gets the message; an error of the codec, like
// frame.ErrTooLarge, that members' codecs cannot frame it. If the engine has a
// Backplane, its error is returned, though members on this engine get the message.
func (g *Group) Publish(n Notice) error {
	if took, err := g.give(&n, nil); !took || err != nil {
		return err
	}
	return g.pass(&n)
}

// PublishContext is Publish that waits instead of returning ErrBufferFull, until ctx
// ends, whose cause it then returns. A handler in mode inline would wait for itself:
// there it returns ErrBufferFull, too.
func (g *Group) PublishContext(ctx context.Context, n Notice) error {
	for {
		room := &waiter{free: make(chan struct{}, 1)}
		took, err := g.give(&n, room)
		switch {
		case took && err == nil:
			return g.pass(&n)
		case took || g.all.shared.OnLoop():
			return err
		}
		if err := g.all.shared.Await(ctx, room.free, 0); err != nil {
			return err
		}
	}
}

// give gives n to the members on this engine. If loops are too far behind it reports
// false and ErrBufferFull, and tells w, which may be nil, when it may be tried again.
func (g *Group) give(n *Notice, w *waiter) (took bool, err error) {
	r := g.enter(false)
	if r == nil {
		return true, nil
	}
	defer r.unlock()
	if r.full() {
		if w != nil {
			r.waiters = append(r.waiters, w)
		}
		return false, ErrBufferFull
	}
	return true, r.publish(n)
}

// pass gives n to other engines.
func (g *Group) pass(n *Notice) error {
	if g.all.backplane == nil {
		return nil
	}
	return g.all.backplane.Publish(g.name, *n)
}

// Kick closes all members for a reason, as Session.CloseWith does, and returns how
// many.
func (g *Group) Kick(reason error) (n int) {
	for s := range g.Members {
		if s.CloseWith(reason) == nil {
			n++
		}
	}
	return n
}

// Stats returns the group's counters. They begin anew with a first member.
func (g *Group) Stats() GroupStats {
	r := g.enter(false)
	if r == nil {
		return GroupStats{}
	}
	defer r.mu.Unlock()
	st := r.counts.stats()
	st.Members = len(r.members)
	return st
}
