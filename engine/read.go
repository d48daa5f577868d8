package engine

import (
	"syscall"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
)

// Step 3 of a turn in detail: reading one session, and when not to.

// read reads c until it is empty, paused or over, or its budget is used up.
func (l *loop) read(c *conn) {
	budget := l.engine.options.readBudget
	if l.braked {
		budget = littleRead
	}
	for budget > 0 {
		if c.flags&(readable|paused|marked|sawFIN) != readable {
			return
		}
		room := l.room()
		if l.braked {
			room = room[:min(len(room), littleRead)]
		}
		n, errno := l.sockets.Recv(int(c.fd), room)
		switch {
		case errno == syscall.EAGAIN:
			c.flags &^= readable | mustDrain
			if c.flags&failing != 0 {
				l.settle(c, c.drive().Broken(errno))
			}
			return
		case errno != 0:
			c.flags &^= readable
			l.settle(c, c.drive().Broken(errno))
			return
		case n == 0 && c.drive().Writing():
			l.listReady(c) // a write takes the error of a reset, and this looks like FIN until it has told
			return
		case n == 0:
			c.flags |= sawFIN
			l.settle(c, c.drive().PeerClosed())
			if c.flags&failing != 0 {
				l.settle(c, c.drive().Broken(syscall.EPIPE))
			}
			l.closeIfDeaf(c) // a reset may have come behind the FIN, which hides it from reads
			return
		}
		if n < len(room) && c.flags&mustDrain == 0 {
			c.flags &^= readable
		}
		budget -= n
		c.flags |= received
		c.activeAt = l.tickOf(l.now)
		c.beatAt, c.beats = c.activeAt, 0
		l.bytesIn += uint64(n)
		l.settle(c, c.drive().Deliver(l.segment, room[:n], uint32(c.activeAt)))
		l.timeFrame(c)
		l.advanceSegment(n)
	}
	l.listReady(c)
}

// room is where the next read goes: in the segment, behind what somebody still
// refers to.
func (l *loop) room() []byte {
	if l.used > 0 && !l.segment.Shared() {
		l.used = 0
	}
	return l.segment.Bytes()[l.used:]
}

// advanceSegment goes on after n bytes that may be referred to, in another segment
// if most of this one is used. Where handlers have run meanwhile, only few are, and
// they get the segment to themselves.
func (l *loop) advanceSegment(n int) {
	if !l.segment.Shared() {
		l.used = 0
		return
	}
	l.used += n
	if !l.engine.shared.Pooled || l.used > l.segment.Cap()*3/4 {
		l.segment.Release()
		l.segment, l.used = l.engine.pool.Get(l.engine.options.readSize), 0
	}
}

// pause stops reading c, or goes on, as its session's status says.
func (l *loop) pause(c *conn, st transport.Status) {
	if c.flags&ending != 0 {
		st &^= transport.Paused | transport.Throttled | transport.Full // what comes is thrown away
	}
	c.flags &^= behind | throttled
	switch {
	case st&transport.Paused != 0:
		c.flags |= paused
		l.closeIfDeaf(c)
	case st&transport.Throttled != 0: // before Full: handlers get on only when it is over
		c.flags |= paused | throttled
		l.schedule(c)
	case st&transport.Full != 0:
		c.flags |= paused | behind
	case c.flags&paused != 0:
		c.flags &^= paused
		c.activeAt = l.tickOf(l.now)
		c.beatAt, c.beats = c.activeAt, 0
		c.drive().FrameFrom(uint32(c.activeAt))
		l.schedule(c)
		l.timeFrame(c) // what waits behind the pause is cut only when handlers have been there
		l.listReady(c)
	}
}

// closeIfDeaf closes a session that has hung up and would not find out by
// reading, because it is paused or has read the peer's FIN. What it has not read
// is lost, as it could not answer. If only its handlers are behind, or it sent too
// much, it will be read.
func (l *loop) closeIfDeaf(c *conn) {
	willRead := c.flags&(behind|throttled) != 0 && c.flags&sawFIN == 0
	if c.flags&hungUp == 0 || c.flags&(paused|sawFIN) == 0 || willRead {
		return
	}
	c.flags &^= hungUp // it is known to the session from here on
	st := c.drive().Status()
	if l.settle(c, st); c.flags&marked != 0 {
		return
	}
	errno, _ := l.sockets.Option(int(c.fd), sock.SocketError)
	if errno == 0 && st&transport.Drained != 0 {
		return // both ends have sent FIN, which is a hang-up, too: the session ends when it has got there
	}
	if errno == 0 {
		errno = int(syscall.ECONNRESET)
	}
	l.settle(c, c.drive().Broken(syscall.Errno(errno)))
}
