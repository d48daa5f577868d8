package engine

import (
	"syscall"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// The life of a conn on its loop: it is opened, ends with its output written and
// the peer's FIN read, is closed in step 6, and its slot is freed.

// open registers a new conn and opens its session.
func (l *loop) open(c *conn) {
	c.flags &^= fresh
	if l.obeyed != orderRun && c.flags&invited != 0 {
		l.refuseInvited(c, ErrStopped)
		return
	}
	c.openedAt = l.tickOf(l.now)
	c.activeAt = c.openedAt
	c.sentSeen = 0
	interest := poller.Read
	if c.flags&local == 0 {
		interest |= poller.Write
	}
	if err := l.poller.Add(int(c.fd), interest, poller.Token(c.id)); err != nil {
		if c.flags&invited != 0 {
			l.refuseInvited(c, err)
			return
		}
		l.engine.log.acceptError(acceptRegister, err)
		l.stats.refused.Add(1)
		l.settle(c, c.drive().End(session.ReasonIOError, err, true)) // marks it
		return
	}
	l.broken = interruption{opening: c}
	st, opened := c.drive().Open()
	l.broken = interruption{}
	l.settle(c, st)
	l.opened(c, opened)
	if l.obeyed != orderRun {
		l.sendAway(c)
	}
	l.schedule(c)
}

// opened counts a session if OnOpen was called.
func (l *loop) opened(c *conn, was bool) {
	if was {
		l.stats.opened.Add(1)
		l.engine.log.open(c.session.Load())
	}
}

// readRest has c read to its end and closed, since nothing can be written.
func (l *loop) readRest(c *conn) {
	if c.flags&failing != 0 {
		return
	}
	c.flags |= failing
	if c.flags&sawFIN != 0 {
		l.settle(c, c.drive().Broken(syscall.EPIPE))
		return
	}
	c.flags |= readable | mustDrain
	l.listReady(c)
}

// awaitFIN closes c when the peer has sent FIN, too, and until then discards
// what comes: closing with unread input would reset the peer, and take from it
// what it has not read yet.
func (l *loop) awaitFIN(c *conn) {
	if c.flags&sawFIN != 0 {
		l.mark(c)
		return
	}
	if c.flags&lingering == 0 {
		c.flags |= lingering
		c.waitingAt = l.tickOf(l.now)
		l.schedule(c)
	}
}

// close ends a session: it takes the descriptor from it, calls OnClose, and lets
// go of the loop's count. If somebody is just writing, that one closes.
func (l *loop) close(c *conn) {
	s := c.session.Load()
	c.flags |= gone
	l.wheel.clear(c.slot())
	driver := c.drive()
	st := driver.Look()
	if st&transport.Aborted != 0 {
		_ = l.sockets.SetOption(int(c.fd), sock.Linger, 0) // RST instead of FIN
		if l.obeyed >= orderAbort {
			l.stats.aborted.Add(1)
		}
	}
	if st&transport.Exposed != 0 || c.flags&duplicated != 0 {
		_ = l.poller.Remove(int(c.fd)) // a duplicate would keep the registration
	}
	c.session.Store(nil) // when OnClose is called, the id finds nothing any more
	l.broken = interruption{closing: c, running: s}
	l.serves.Store(s)
	reason, opened, due := driver.Close()
	l.serves.Store(nil)
	l.broken = interruption{}
	if due {
		l.due = append(l.due, s)
	}
	l.closed(c, s, reason, opened)
}

// closed counts a session out, and lets go of its descriptor.
func (l *loop) closed(c *conn, s *session.Session, reason *session.CloseError, opened bool) {
	driver := session.Drive(s, transport.Key{})
	l.live.Add(-1)
	if c.flags&invited == 0 {
		l.engine.admission.leave(driver.Peer().Addr())
	}
	if opened {
		l.stats.closed[reason.Reason].Add(1)
		l.stats.unsent.Add(uint64(reason.Unsent))
		l.stats.unhandled.Add(uint64(reason.Unhandled))
		did := s.Stats()
		l.stats.bytesOut.Add(did.BytesOut)
		l.remember(driver.Peer(), s.ID(), did, reason)
		l.engine.log.close(s, reason)
	}
	c.Release()
}

// free gives back the slot of a conn whose descriptor is closed.
func (l *loop) free(c *conn) {
	c.flags = 0
	l.slots.give(c)
	l.engine.descriptorFreed()
}
