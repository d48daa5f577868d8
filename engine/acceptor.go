package engine

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// acceptor takes connections from one listening socket and places them on the
// loops. It belongs to one loop. When the process or the system runs out of
// descriptors or memory it pauses, for longer each time, when connections come
// faster than they may, until the next is due, and when the process nears its memory
// limit, until it does no more; the listener's queue keeps the clients waiting meanwhile.
type acceptor struct {
	loop     *loop
	listener sock.Listener
	handler  *session.Behaviour
	owner    *Listener
	local    bool // a unix socket
	alone    bool // no other loop listens on the same address

	readable bool          // there may be somebody waiting
	retryAt  time.Time     // paused until then; zero: not paused
	scarce   bool          // paused for lack of descriptors or memory
	backoff  time.Duration // the present pause
	closed   bool

	unwanted atomic.Bool // to be closed; any goroutine may ask
}

const (
	acceptBatch      = 64 // connections per turn, so that a burst does not hold up the sessions
	acceptBackoffMin = 10 * time.Millisecond
	acceptBackoffMax = 500 * time.Millisecond
)

// start registers the acceptor with its loop's poller, in the place of a closed
// one if there is any. On the loop.
func (a *acceptor) start() error {
	l := a.loop
	place := slices.IndexFunc(l.acceptors, func(old *acceptor) bool { return old.closed })
	if place < 0 {
		place = len(l.acceptors)
	}
	token := poller.Token(place) // below generation 1: no session's id
	if err := l.poller.Add(a.listener.FD, poller.Read, token); err != nil {
		return fmt.Errorf("engine: listen on %s: %w", a.listener.Addr, err)
	}
	if place == len(l.acceptors) {
		l.acceptors = append(l.acceptors, nil)
	}
	l.acceptors[place] = a
	a.readable = true
	return nil
}

// accept takes a batch of connections, and sorts the errors of accept(2). On the
// loop.
func (a *acceptor) accept() {
	for range acceptBatch {
		if a.closed || !a.paced() {
			return
		}
		fd, peer, errno := a.loop.sockets.Accept(a.listener.FD)
		switch errno {
		case 0:
			a.backoff = 0
			a.loop.stats.accepted.Add(1)
			a.place(connection{fd: fd, peer: peer, local: a.local, configure: !a.listener.Inherits, handler: a.handler})
		case syscall.EAGAIN:
			a.loop.engine.admission.unused()
			a.readable = false
			return
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			a.loop.engine.admission.unused()
			a.loop.stats.acceptErrors.Add(1)
			a.pause(errno)
			return
		case syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EOPNOTSUPP, syscall.EFAULT:
			a.loop.engine.log.acceptError(acceptDead, errno)
			a.close()
			return
		default:
			// The connection, not the listener, is at fault: it was reset while
			// it waited (ECONNABORTED), a firewall forbids it (EPERM), or its
			// network failed. accept(2) says to try the next one.
			a.loop.engine.admission.unused()
			a.loop.stats.acceptErrors.Add(1)
			a.loop.engine.log.acceptError(acceptSkipped, errno)
		}
	}
}

// paced tells whether the engine may take a connection now. If it has taken as many
// as it may, or memory is scarce, the acceptor waits.
func (a *acceptor) paced() bool {
	if a.loop.engine.ladder.full.Load() {
		a.retryAt = a.loop.now.Add(acceptRecheck)
		return false
	}
	again, ok := a.loop.engine.admission.pace(a.loop.elapsed())
	if !ok {
		a.retryAt = a.loop.engine.started.Add(again)
		a.loop.stats.acceptWaits.Add(1)
	}
	return ok
}

// pause stops accepting for a while.
func (a *acceptor) pause(errno syscall.Errno) {
	a.backoff = min(max(2*a.backoff, acceptBackoffMin), acceptBackoffMax)
	a.retryAt, a.scarce = a.loop.now.Add(a.backoff), true
	a.loop.stats.acceptPauses.Add(1)
	a.loop.engine.pausedAcceptors.Add(1)
	a.loop.engine.log.acceptError(acceptPaused, errno)
}

// pauseOver tells whether it is time to accept again.
func (a *acceptor) pauseOver(now time.Time) bool {
	return !a.retryAt.IsZero() && !now.Before(a.retryAt)
}

// resume accepts again in this turn's step 3.
func (a *acceptor) resume() {
	a.retryAt = time.Time{}
	if a.scarce {
		a.scarce = false
		a.loop.engine.pausedAcceptors.Add(-1)
	}
}

// close stops listening for good. On the loop.
func (a *acceptor) close() {
	if a.closed {
		return
	}
	a.resume()
	a.closed, a.readable = true, false
	a.handler = nil // a closed listener keeps nobody's memory
	defer a.owner.acceptorClosed()
	if err := errors.Join(a.loop.poller.Remove(a.listener.FD), a.listener.Release(a.loop.sockets)); err != nil {
		a.loop.engine.log.acceptError(acceptClose, err)
	}
	a.loop.engine.acceptorEnded()
}

// askAcceptors has the loop look at its acceptors: some are unwanted, or may try
// again. Any goroutine.
func (l *loop) askAcceptors() {
	l.asked.Store(true)
	l.mail.knock()
}

// lookAtAcceptors closes what is unwanted, and lets the others try again.
func (l *loop) lookAtAcceptors() {
	for _, a := range l.acceptors {
		if a.unwanted.Load() {
			a.close()
		} else {
			a.resume()
		}
	}
}

// acceptReady tells whether an acceptor has somebody waiting.
func (l *loop) acceptReady() bool {
	for _, a := range l.acceptors {
		if a.readable && a.retryAt.IsZero() {
			return true
		}
	}
	return false
}

// Listener accepts connections for its engine until it is closed.
type Listener struct {
	engine    *Engine
	addr      net.Addr
	acceptors []*acceptor
	listening atomic.Int32 // acceptors that are not closed
	done      chan struct{}
}

// Addr returns the address it listens on, with the port the kernel chose. Any
// goroutine may call it, also after Close.
func (l *Listener) Addr() net.Addr { return l.addr }

// Done returns a channel that is closed when nothing is accepted any more: after Close,
// when the engine ends, or when the socket has failed.
func (l *Listener) Done() <-chan struct{} { return l.done }

// acceptorClosed counts an acceptor out. On any loop.
func (l *Listener) acceptorClosed() {
	if l.listening.Add(-1) == 0 {
		close(l.done)
	}
}

// Close stops accepting; sessions live on. Any goroutine may call it, handlers
// included; it does not wait. A second call does nothing. The error is always
// nil; it is there for io.Closer.
func (l *Listener) Close() error {
	for _, a := range l.acceptors {
		a.unwanted.Store(true)
		a.loop.askAcceptors()
	}
	return nil
}
