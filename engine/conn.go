package engine

import (
	"net"
	"sync/atomic"
	"syscall"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// conn is the descriptor's side of a session: what the loop needs to read it,
// time it and close it. It lives in a slot and is used again; see slots.
//
// The descriptor is counted. The loop holds one count, and so does whoever
// writes or sets an option. Closing lets go of the loop's; the last one closes.
type conn struct {
	// Identity. Changes only while the slot is free.
	id   uint64
	loop *loop

	// Any goroutine.
	session atomic.Pointer[session.Session] // nil while the slot is free
	next    *conn                           // in the mailbox, or among the free slots
	posted  atomic.Uint32                   // whether it waits in the mailbox
	refs    atomic.Int32                    // counts on fd; the last one closes it
	fd      int32

	// The loop's own.
	flags     connFlags
	timer     timer
	openedAt  tick
	activeAt  tick   // when something was received or seen to be sent last; the idle clock
	waitingAt tick   // since when output is stuck, or the peer's FIN is awaited
	sentSeen  uint32 // low bits of Session's bytesOut when last looked at
	beatAt    tick   // when something was received or the peer was asked last; the heartbeat's clock
	beats     uint8  // how often it was asked since something was received
}

type connFlags uint32

const (
	fresh      connFlags = 1 << iota // placed on this loop, not yet opened
	local                            // a unix socket
	readable                         // there may be something to read
	mustDrain                        // a short read does not prove that there is not
	received                         // something has been received
	sawFIN                           // the peer sends no more
	hungUp                           // the connection is dead in both directions
	paused                           // not to be read
	behind                           // the same, only because the handlers are
	throttled                        // the same, only because the peer sent too much
	stuck                            // output waits for the kernel, since waitingAt
	armed                            // a unix socket is told of room for output
	failing                          // output failed: read the rest and close
	ending                           // the session drains
	expired                          // its lifetime is over: it ends when its handlers have caught up
	lingering                        // our FIN is out, the peer's is awaited, since waitingAt
	listed                           // in the loop's ready list
	dirty                            // in the loop's dirty list
	marked                           // to be closed in this turn
	gone                             // closed; waits for the last count
	invited                          // dialled or adopted, not accepted: admission does not count it
	duplicated                       // somebody else has its socket, too
	beating                          // there is a heartbeat
)

// The methods below are transport.Link: any goroutine with a count may call them.

func (c *conn) Acquire() { c.refs.Add(1) }

func (c *conn) Release() {
	if c.refs.Add(-1) == 0 {
		c.loop.sockets.Close(int(c.fd))
		c.loop.mail.postLast(c) // the loop frees the slot
	}
}

func (c *conn) Attend()                   { c.loop.mail.post(c) }
func (c *conn) OnLoop() bool              { return c.loop.engine.onLoop() }
func (c *conn) Shared() *transport.Shared { return &c.loop.engine.shared }

func (c *conn) Send(p []byte) (int, syscall.Errno) {
	return c.loop.sockets.Send(int(c.fd), p)
}

func (c *conn) Sendv(views [][]byte) (int, syscall.Errno) {
	return c.loop.sockets.Sendv(int(c.fd), views)
}

func (c *conn) ShutdownWrite() syscall.Errno { return c.loop.sockets.ShutdownWrite(int(c.fd)) }

func (c *conn) Descriptor() int { return int(c.fd) }

func (c *conn) SetOption(o sock.Option, value int) error {
	return c.loop.sockets.SetOption(int(c.fd), o, value)
}

func (c *conn) Option(o sock.Option) (int, error) {
	return c.loop.sockets.Option(int(c.fd), o)
}

func (c *conn) LocalAddr() net.Addr { return c.loop.sockets.LocalAddr(int(c.fd)) }

// slot is the number of the conn's place in its loop's table.
func (c *conn) slot() uint32 { return uint32(c.id&placeMask) / c.loop.slots.stride }

// drive returns the session's side that belongs to the loop.
func (c *conn) drive() session.Driver {
	return session.Drive(c.session.Load(), transport.Key{})
}
