package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// The way of a connection that we make, or are given:
//
//  1. package net connects, on the caller's goroutine, and its descriptor is duplicated
//  2. a loop is chosen as for an accepted connection, and given it; admission, which is
//     about strangers, is not asked
//  3. the loop registers and opens it in its next turn; the caller waits for that, and
//     for no handler
//  4. if the caller's time is up meanwhile, the session is aborted, opened or not
//
// Once it is open no goroutine belongs to it any more. A loop may end only when nobody is
// in step 2, and opens nothing of this kind once it has been told to stop.

// WithDialTimeout bounds how long Dial may take, whatever its context allows, 0 not at
// all; the default is 10 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) { o.duration("dial timeout", &o.dialTimeout, d, time.Millisecond, true) }
}

// WithDialer has Dial connect with a copy of d: its resolver, local address, fallback
// delay and control functions. The options of connections, keep-alive included, are those
// of the engine. The default is the zero net.Dialer.
func WithDialer(d *net.Dialer) Option {
	return func(o *options) {
		if d == nil {
			o.reject("dialer", d, "must not be nil")
			return
		}
		o.dialer = *d
	}
}

// Dial connects to address and returns the session once it is open: Send works. Network is
// tcp, tcp4, tcp6 or unix. A name is resolved, and its addresses are tried, as net.Dialer
// does, until ctx or the time of WithDialTimeout ends. The connection has the options that
// accepted ones have; WithMaxSessions and WithMaxPerAddress do not apply to it.
//
// When Dial returns, h.OnOpen may not have been called yet, or be running. No handler of a
// session that Dial returned an error for stays: if ctx ended at the last moment, OnOpen may
// come, and then OnClose for session.ReasonAborted.
//
// The error is that of package net as it is, mostly a *net.OpError: errors.Is finds
// ECONNREFUSED, ECONNRESET, context.DeadlineExceeded and context.Canceled, errors.As a
// *net.DNSError. EAGAIN of a unix socket means that its listener's queue is full. Others are
// ErrStopped, ErrDeadlock from a handler, *OptionError if h is nil, session.ReasonOverLimit
// if the loop has no place.
func (e *Engine) Dial(ctx context.Context, network, address string, h session.Handler) (*session.Session, error) {
	s, err := e.tryDial(ctx, network, address, h)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// tryDial is Dial. If it returns an error and a session, that one was opened and is aborted.
func (e *Engine) tryDial(ctx context.Context, network, address string, h session.Handler) (*session.Session, error) {
	if err := e.mayWait(h); err != nil {
		return nil, err
	}
	ctx, cancel := e.limit(ctx)
	defer cancel()
	s, err := e.dial(ctx, network, address, session.NewBehaviour(h))
	if err != nil {
		e.dialErrors.Add(1)
		e.log.dialError(network, address, err)
		return s, err
	}
	e.dialled.Add(1)
	return s, nil
}

// AdoptConn makes a session of a connection that exists, dialled or accepted by whomever,
// and returns it once it is open, as Dial does. Its descriptor is duplicated: the caller
// still owns c, and should close it at once, but not read, write or shut it down any more;
// until it is closed the peer does not see that the session is aborted. What c has read
// into buffers of its own stays there. The connection gets the options that accepted ones
// have; WithMaxSessions and WithMaxPerAddress do not apply.
//
// A connection without syscall.Conn, such as one of package tls, is refused with an error
// that names its type, and wraps errors.ErrUnsupported. Other errors are as for Dial.
func (e *Engine) AdoptConn(c net.Conn, h session.Handler) (*session.Session, error) {
	if err := e.mayWait(h); err != nil {
		return nil, err
	}
	ctx, cancel := e.limit(context.Background())
	defer cancel()
	fd, peer, local, err := sock.AdoptConn(c)
	if err != nil {
		return nil, err
	}
	k := connection{fd: fd, peer: peer, local: local, duplicated: true, handler: session.NewBehaviour(h)}
	s, err := e.settleIn(ctx, k)
	switch {
	case err == ErrStopped:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("engine: adopt %T: %w", c, err)
	}
	e.adopted.Add(1)
	return s, nil
}

// mayWait tells why the caller may not have a session for h made, if so.
func (e *Engine) mayWait(h session.Handler) error {
	if h == nil {
		return &OptionError{Option: "handler", Value: h, Why: "must not be nil"}
	}
	if e.onLoop() || e.onWorker() {
		return ErrDeadlock
	}
	return nil
}

// limit ends ctx also after the dial timeout, or when the engine begins to stop.
func (e *Engine) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	var cancel context.CancelFunc
	if e.options.dialTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, e.options.dialTimeout)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	forget := context.AfterFunc(e.dials, cancel)
	return ctx, func() {
		forget()
		cancel()
	}
}

func (e *Engine) dial(ctx context.Context, network, address string, h *session.Behaviour) (*session.Session, error) {
	if e.dials.Err() != nil {
		return nil, ErrStopped
	}
	fd, peer, err := e.deps.Dial(ctx, network, address)
	switch {
	case err != nil && e.dials.Err() != nil:
		return nil, ErrStopped
	case err != nil:
		return nil, err
	}
	s, err := e.settleIn(ctx, connection{fd: fd, peer: peer, local: network == "unix", handler: h})
	if err == nil || err == ErrStopped {
		return s, err
	}
	var remote net.Addr = &net.UnixAddr{Name: address, Net: "unix"}
	if network != "unix" {
		remote = net.TCPAddrFromAddrPort(peer)
	}
	return s, &net.OpError{Op: "dial", Net: network, Addr: remote, Err: err}
}

// connect is what Deps.Dial is unless somebody replaces it.
func (e *Engine) connect(ctx context.Context, network, address string) (int, netip.AddrPort, error) {
	return sock.Dial(ctx, e.options.dialer, network, address)
}

// settleIn gives a connection to a loop, and waits until it is open. The descriptor is the
// engine's, also if there is an error. A session that is returned with it was opened.
func (e *Engine) settleIn(ctx context.Context, k connection) (*session.Session, error) {
	k.configure, k.invited = true, true
	s, opened, err := e.invite(k)
	if err != nil {
		if !k.duplicated {
			_ = e.deps.Sockets.SetOption(k.fd, sock.Linger, 0) // as refuse does
		}
		e.deps.Sockets.Close(k.fd)
		return nil, err
	}
	if err := e.await(ctx, opened); err != nil {
		_ = s.Abort() // ErrClosed: it has ended, which is what is wanted
		if !session.Drive(s, transport.Key{}).Opened() {
			s = nil // it never will be, now
		}
		if e.dials.Err() != nil {
			return s, ErrStopped
		}
		return s, cmp.Or(ctx.Err(), err)
	}
	reason, wasOpened := session.Drive(s, transport.Key{}).Ended()
	if wasOpened {
		return s, nil
	}
	if reason.Err != nil {
		return nil, reason.Err
	}
	return nil, reason
}

// await waits until done is closed, or ctx ends, whose cause it returns.
func (e *Engine) await(ctx context.Context, done <-chan struct{}) error {
	if wait := e.deps.Wait; wait != nil {
		return wait(ctx, done, 0)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// invite places a connection.
func (e *Engine) invite(k connection) (s *session.Session, opened <-chan struct{}, err error) {
	e.placing.Add(1)
	defer e.placingEnded()
	target := e.choose(e.loops[0], k.peer)
	if target.order.Load() != orderRun {
		return nil, nil, ErrStopped
	}
	return target.welcome(k)
}

// placingEnded counts somebody out who places a connection; loops that are to end may
// have waited for that.
func (e *Engine) placingEnded() {
	e.placing.Add(-1)
	for _, l := range e.loops {
		if l.order.Load() != orderRun {
			l.mail.knock()
		}
	}
}

// welcome takes over a connection that was not accepted. It is opened in the loop's next
// turn.
func (l *loop) welcome(k connection) (*session.Session, <-chan struct{}, error) {
	c, err := l.makeRoom(k)
	if err != nil {
		return nil, nil, err
	}
	s := c.session.Load()
	opened := session.Drive(s, transport.Key{}).Opening()
	l.mail.post(c)
	return s, opened, nil
}

// refuseInvited ends a fresh conn that was not accepted, and must not be opened because
// of err.
func (l *loop) refuseInvited(c *conn, err error) {
	why := session.ReasonIOError
	if errors.Is(err, ErrStopped) {
		why = session.ReasonShutdown
	}
	l.settle(c, c.drive().End(why, err, true)) // marks it
}
