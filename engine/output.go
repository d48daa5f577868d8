package engine

import (
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// Output that the kernel did not take: it is timed, and flushed in step 5 when
// there is room.

// watchOutput times output that waits for the kernel, and has it flushed.
func (l *loop) watchOutput(c *conn, st transport.Status) {
	if st&transport.Pending != 0 {
		l.listDirty(c)
	}
	l.arm(c, st&transport.Blocked != 0)
	if st&transport.Blocked == 0 {
		if c.flags&stuck != 0 {
			c.flags &^= stuck
			l.schedule(c) // other deadlines count again
		}
		return
	}
	if c.flags&stuck == 0 {
		l.listDirty(c) // room may have been told of before we listened
	}
	sent := uint32(c.drive().Progress())
	if c.flags&stuck == 0 || sent != c.sentSeen {
		c.flags |= stuck
		c.waitingAt = l.tickOf(l.now)
		c.sentSeen = sent
		l.schedule(c)
	}
}

// arm asks the poller to tell of room for output, or not to. TCP sockets are
// armed for good: they tell only after they were full. Unix sockets tell at
// every read of the peer.
func (l *loop) arm(c *conn, on bool) {
	if c.flags&local == 0 || on == (c.flags&armed != 0) {
		return
	}
	c.flags ^= armed
	interest := poller.Read
	if on {
		interest |= poller.Write
	}
	if err := l.poller.Modify(int(c.fd), interest, poller.Token(c.id)); err != nil {
		l.settle(c, c.drive().End(session.ReasonIOError, err, true)) // marks it
	}
}
