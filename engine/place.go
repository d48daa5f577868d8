package engine

import (
	"net/netip"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// Placement decides which loop a new connection lives on.
type Placement uint8

// The placements.
const (
	RoundRobin    Placement = iota // the next loop
	LeastSessions                  // the loop with the fewest sessions
	SourceHash                     // the same loop for the same peer address, ports aside; one loop for a unix socket's
)

// connection is an open descriptor on its way to a loop, which will own it.
type connection struct {
	fd         int
	peer       netip.AddrPort
	local      bool // a unix socket
	configure  bool // set the options that the listener did not hand down
	invited    bool // dialled or adopted, not accepted
	duplicated bool // somebody else has its socket, too
	handler    *session.Behaviour
}

// place gives a connection to a loop. On the acceptor's loop.
func (a *acceptor) place(k connection) {
	e := a.loop.engine
	target := a.loop // with a listening socket per loop the kernel has chosen
	if a.alone {
		target = e.choose(a.loop, k.peer)
	}
	if err := target.adopt(k, a.loop); err != nil {
		a.refuse(k, err)
	}
}

// refuse resets a connection that no loop has taken. FIN would leave the kernel
// something to keep, and the peer a connection that seems good.
func (a *acceptor) refuse(k connection, err error) {
	stats, trouble := &a.loop.stats, acceptRefused
	stats.refused.Add(1)
	switch err.(type) {
	case *fullError:
		stats.refusedFull.Add(1)
		trouble = acceptFull
	case *crowdError:
		stats.refusedCrowded.Add(1)
		trouble = acceptCrowded
	}
	a.loop.engine.log.acceptError(trouble, err)
	_ = a.loop.sockets.SetOption(k.fd, sock.Linger, 0)
	a.loop.sockets.Close(k.fd)
}

// choose picks the loop by policy.
func (e *Engine) choose(here *loop, peer netip.AddrPort) *loop {
	switch e.options.placement {
	case LeastSessions:
		least := here
		for _, l := range e.loops {
			if l.live.Load() < least.live.Load() {
				least = l
			}
		}
		return least
	case SourceHash:
		return e.loops[e.deps.Hash(peer.Addr())%uint64(len(e.loops))]
	default:
		return e.loops[e.placed.Add(1)%uint64(len(e.loops))]
	}
}

// adopt takes over a connection that was accepted: it gets a slot and a session, and is
// opened in the loop's next turn, or at once if it comes from the loop itself.
func (l *loop) adopt(k connection, from *loop) error {
	if err := l.engine.admission.enter(k.peer.Addr()); err != nil {
		return err
	}
	c, err := l.makeRoom(k)
	if err != nil {
		l.engine.admission.leave(k.peer.Addr())
		return err
	}
	if from == l {
		l.open(c)
	} else {
		l.mail.post(c)
	}
	return nil
}

// makeRoom sets a connection's options, and finds a slot and makes a session for it.
func (l *loop) makeRoom(k connection) (*conn, error) {
	if k.configure && !k.local {
		if err := sock.Configure(l.sockets, k.fd, l.engine.options.conn); err != nil {
			return nil, err
		}
	}
	c := l.slots.take()
	if c == nil {
		return nil, session.ReasonOverLimit
	}
	l.live.Add(1)
	c.fd = int32(k.fd)
	c.flags = k.flags()
	c.refs.Store(1)
	c.session.Store(session.New(c.id, c, k.peer, l.clock.Now(), k.handler))
	return c, nil
}

// flags are what a conn starts with.
func (k connection) flags() connFlags {
	f := fresh
	if k.local {
		f |= local
	}
	if k.invited {
		f |= invited
	}
	if k.duplicated {
		f |= duplicated
	}
	return f
}
