package netconn

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Listener is a net.Listener whose connections an engine accepts: each is a *Conn.
type Listener struct {
	source Source
	queue  chan *Conn // opened, and not yet accepted
	closed chan struct{}
	shared atomic.Pointer[transport.Shared] // from the first session on

	mu      sync.Mutex // guards what is put into the queue, and the two below
	over    bool       // nobody accepts any more
	closing bool       // Close was called
}

// Source is what stands behind a Listener: an *engine.Listener.
type Source interface {
	Addr() net.Addr
	Close() error
	Done() <-chan struct{}
}

// Engine is an *engine.Engine, with L an *engine.Listener. This package stands below
// package engine, and so does not name it.
type Engine[L Source] interface {
	Listen(network, address string, h session.Handler) (L, error)
}

// Option changes a default of a Listener.
type Option func(*options)

type options struct {
	backlog int
	err     error // the first bad value
}

// backlogDefault is as long as the kernel's queue is on Linux, somaxconn.
const backlogDefault = 4096

// WithBacklog bounds how many connections may wait for Accept, beside those that wait in
// the kernel. One more is reset, and counts as closed for session.ReasonOverLimit. The
// default is 4096.
func WithBacklog(n int) Option {
	return func(o *options) {
		if n < 1 && o.err == nil {
			o.err = &OptionError{Option: "backlog", Value: n, Why: "must be at least 1"}
		}
		o.backlog = n
	}
}

// Listen is the engine's Listen, for a net.Listener. The errors are the engine's, and
// *OptionError. It waits for a loop, and so must not be called from a handler.
func Listen[L Source](e Engine[L], network, address string, opts ...Option) (*Listener, error) {
	return ListenFunc(func(h session.Handler) (L, error) { return e.Listen(network, address, h) }, opts...)
}

// ListenFunc is Listen for other ways to listen, such as the engine's Adopt: open is called
// once, with the handler of the sessions.
func ListenFunc[L Source](open func(session.Handler) (L, error), opts ...Option) (*Listener, error) {
	o := options{backlog: backlogDefault}
	for _, set := range opts {
		set(&o)
	}
	if o.err != nil {
		return nil, o.err
	}
	l := &Listener{queue: make(chan *Conn, o.backlog), closed: make(chan struct{})}
	source, err := open(door{l})
	if err != nil {
		return nil, err
	}
	l.source = source
	return l, nil
}

// door is the handler of sessions before they are a Conn, which they are at once.
type door struct{ l *Listener }

func (d door) OnOpen(s *session.Session)                 { d.l.add(New(s)) }
func (d door) OnMessage(*session.Session, session.Frame) {}

// add leaves a connection for Accept, or refuses it.
func (l *Listener) add(c *Conn) {
	l.shared.CompareAndSwap(nil, c.tap.Shared())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		_ = c.s.Abort() // as the kernel does with those in its queue; ErrClosed: it has ended
		return
	}
	select {
	case l.queue <- c:
	default:
		_ = c.s.CloseWith(session.ReasonOverLimit)
		_ = c.s.Abort()
	}
}

// Accept waits for the next connection. It returns net.ErrClosed, in a *net.OpError, after
// Close and when the engine accepts no more; session.ErrDeadlock when it would wait on a
// goroutine of the engine's loops, as a Read does, if that loop's engine has accepted
// anything before.
func (l *Listener) Accept() (net.Conn, error) {
	suspicion := time.NewTimer(suspicious)
	defer suspicion.Stop()
	for {
		select {
		case c := <-l.queue:
			return c, nil
		case <-l.closed:
			return nil, l.failure(net.ErrClosed)
		case <-l.source.Done():
			return l.last()
		case <-suspicion.C:
			if shared := l.shared.Load(); shared != nil && shared.OnLoop() {
				return nil, l.failure(session.ErrDeadlock)
			}
		}
	}
}

// last returns what is left in the queue when nothing more comes. Sessions that the
// engine opens all the same, since it had them already, are refused from then on.
func (l *Listener) last() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case c := <-l.queue:
		return c, nil
	default:
		l.over = true
		return nil, l.failure(net.ErrClosed)
	}
}

// failure is err as package net would return it.
func (l *Listener) failure(err error) error {
	addr := l.Addr()
	return &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: err}
}

// Close stops accepting, and resets the connections that nobody has accepted; the others
// live on. Accept returns net.ErrClosed, and so does a second Close. It does not wait.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return l.failure(net.ErrClosed)
	}
	l.closing, l.over = true, true
	close(l.closed)
	err := l.source.Close()
	for {
		select {
		case c := <-l.queue:
			_ = c.s.Abort() // ErrClosed: it has ended already
		default:
			return err
		}
	}
}

// Addr returns the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.source.Addr() }
