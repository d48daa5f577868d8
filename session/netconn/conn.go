package netconn

import (
	"net"
	"sync/atomic"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Conn is a session as a net.Conn. Any goroutine may call its methods, at the same time,
// too. Read and Write wait; a Read waits for another one to end, a Write for another one.
// The errors but io.EOF are *net.OpError:
//
//   - os.ErrDeadlineExceeded, with Timeout() true, after a deadline
//   - net.ErrClosed after Close, and when the session was ended at this end: by an idle
//     timeout, a shutdown, Kick. It is then also the session's reason.
//   - the kernel's error, such as syscall.ECONNRESET, when the peer or the network ended it;
//     also the reason, and not net.ErrClosed
//   - syscall.EPIPE for a Write after CloseWrite
//   - ErrReleased after Release
//   - session.ErrDeadlock when Read or Write would wait on a goroutine of the engine's
//     loops, as a handler of mode inline does: the loop is what it would wait for. It comes
//     after a hundredth of a second, for which that loop stood still; after a second at most
//     where calls have waited longer before. In mode pool handlers may wait.
//
// The engine's deadlines go on: a peer that takes nothing for engine.WithStallTimeout while
// output is queued is closed, as is one that says nothing for engine.WithIdleTimeout. There
// is no heartbeat, which is a handler's, and a limit on messages (engine.WithMessageRate)
// does not count, as there are none.
type Conn struct {
	s      *session.Session
	tap    *session.Tap
	local  net.Addr // as it was when the session was open; may be nil
	closed atomic.Bool

	in  side
	out side
}

// New makes s a net.Conn, in the middle of its stream: it reads first what was received
// and not yet handled. The session's handler is told of nothing more, OnClose included, and
// its codec is not used; context.AfterFunc on the session's Context tells of its end. The
// peer's FIN is io.EOF, and leaves the session open for writing whatever the engine's
// options. It should be in no group: messages would come between what is written.
//
// It is for a handler of the session to call, or for whoever knows that none runs: what a
// running one has been given stays with it. A session that was a Conn before is released
// from that one.
func New(s *session.Session) *Conn {
	c := &Conn{s: s, local: s.LocalAddr()}
	c.in.init()
	c.out.init()
	c.tap = session.NewTap(s, c.in.wake, c.out.wake, transport.Key{})
	return c
}

// Session returns the session, for what a net.Conn lacks: TCP options, counters, Abort.
func (c *Conn) Session() *session.Session { return c.s }

// Read waits until something has come, and returns as much as is there, up to len(p)
// bytes; io.EOF after the peer's FIN. What the peer sent before it broke off is read first.
func (c *Conn) Read(p []byte) (int, error) {
	c.in.use.Lock()
	defer c.in.use.Unlock()
	for again := false; ; again = true {
		if err := c.in.begin(&c.closed); err != nil {
			return 0, c.failure("read", err)
		}
		n, err := c.tap.TryRead(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, c.failure("read", err)
		}
		if err := c.in.wait(again, c.tap, false); err != nil {
			return 0, c.failure("read", err)
		}
	}
}

// Write returns when all of p was taken: it is with the kernel, or in the session's queue,
// which has an end. With an error it says how many bytes were. What was taken can still be
// lost with the connection, as with any net.Conn; the session's CloseError counts it then.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.out.use.Lock()
	defer c.out.use.Unlock()
	for again := false; ; {
		if err := c.out.begin(&c.closed); err != nil {
			return n, c.failure("write", err)
		}
		took, err := c.tap.TryWrite(p[n:])
		n += took
		elsewhere := err == session.ErrBufferFull
		switch {
		case err != nil && !elsewhere:
			return n, c.failure("write", err)
		case n == len(p):
			return n, nil
		case took > 0:
			continue
		}
		if err := c.out.wait(again, c.tap, elsewhere); err != nil {
			return n, c.failure("write", err)
		}
		again = true
	}
}

// Close closes the session like its own Close, and does not wait: what was written goes
// out, then FIN, and what the peer still sends is discarded. Whoever waits in Read or
// Write gets net.ErrClosed, and so does a second Close. After Release it closes nothing,
// and returns ErrReleased.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.failure("close", net.ErrClosed)
	}
	err := c.tap.Close()
	c.in.tell()
	c.out.tell()
	if err == session.ErrTapShut {
		return c.failure("close", err)
	}
	return nil // the session had ended before, or does now
}

// CloseWrite sends FIN after what was written. Reading goes on.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.failure("close", net.ErrClosed)
	}
	return c.failure("close", c.tap.CloseWrite())
}

// LocalAddr returns this end's address, also after Close.
func (c *Conn) LocalAddr() net.Addr {
	if c.local != nil {
		return c.local
	}
	if _, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return &net.TCPAddr{}
	}
	return &net.UnixAddr{Net: "unix"}
}

// RemoteAddr returns the peer's address, also after Close.
func (c *Conn) RemoteAddr() net.Addr { return c.s.RemoteAddr() }

// Unread puts p back: it is what the next Read returns first, or the handler gets after
// Release. It is for what somebody has read ahead and not used, such as a bufio.Reader; the
// bytes are copied, and count as unread.
func (c *Conn) Unread(p []byte) error {
	if c.closed.Load() {
		return c.failure("unread", net.ErrClosed)
	}
	return c.failure("unread", c.tap.TryUnread(p))
}

// Release gives the session to h, as Session.SetHandler does: framed as h is, or else with
// the codec that the session had before. What was not read comes first to h, in order, and
// then the peer's FIN if it has come. Whoever waits in Read or Write gets ErrReleased; what
// Write has taken is sent. It does not wait, and any goroutine may call it; there should be
// nobody reading, who could still get something. Session.SetHandler does the same.
//
// With an error nothing has changed: net.ErrClosed if the session is closing, ErrReleased
// if it was released.
func (c *Conn) Release(h session.Handler) error {
	if c.closed.Load() {
		return c.failure("release", net.ErrClosed)
	}
	return c.failure("release", c.tap.Return(h))
}
