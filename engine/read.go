package engine

import (
	"syscall"

	"github.com/weirnet/weir/internal/sock"
)

// Step 3 of a turn in detail: reading one session, and when not to.

// read reads c until it is empty, paused or over, or its budget is used up.
func (l *loop) read(c *conn) {
	for budget := l.engine.options.readBudget; budget > 0; {
		if c.flags&(readable|paused|marked|sawFIN) != readable {
			return
		}
		room := l.segment.Bytes()
		n, errno := l.sockets.Recv(int(c.fd), room)
		switch {
		case errno == syscall.EAGAIN:
			c.flags &^= readable | mustDrain
			if c.flags&failing != 0 {
				l.mark(c)
			}
			return
		case errno != 0:
			c.drive().Broken(errno)
			l.mark(c)
			return
		case n == 0:
			c.flags |= sawFIN
			l.settle(c, c.drive().PeerClosed())
			l.closeIfDeaf(c) // a reset may have come behind the FIN, which hides it from reads
			return
		}
		if n < len(room) && c.flags&mustDrain == 0 {
			c.flags &^= readable
		}
		budget -= n
		c.flags |= received
		c.activeAt = l.tickOf(l.now)
		l.bytesIn += uint64(n)
		l.settle(c, c.drive().Deliver(l.segment, room[:n]))
		l.keepSegmentPrivate()
	}
	l.listReady(c)
}

// keepSegmentPrivate replaces the segment if somebody still refers to it.
func (l *loop) keepSegmentPrivate() {
	if l.segment.Shared() {
		l.segment.Release()
		l.segment = l.engine.pool.Get(l.engine.options.readSize)
	}
}

// pause stops reading c, or goes on.
func (l *loop) pause(c *conn, on bool) {
	switch {
	case on:
		c.flags |= paused
		l.closeIfDeaf(c)
	case c.flags&paused != 0:
		c.flags &^= paused
		c.activeAt = l.tickOf(l.now)
		l.schedule(c)
		l.listReady(c)
	}
}

// closeIfDeaf closes a session that has hung up and would not find out by
// reading, because it is paused or has read the peer's FIN. What it has not read
// is lost, as it could not answer.
func (l *loop) closeIfDeaf(c *conn) {
	if c.flags&hungUp == 0 || c.flags&(paused|sawFIN) == 0 {
		return
	}
	errno, _ := l.sockets.Option(int(c.fd), sock.SocketError)
	if errno == 0 {
		errno = int(syscall.ECONNRESET)
	}
	c.drive().Broken(syscall.Errno(errno))
	l.mark(c)
}
