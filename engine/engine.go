package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// Engine owns loops and the sessions on them. New starts it; every engine must
// be ended, by Close, Shutdown, Stop or the context of Serve. All methods may be
// called from any goroutine; those that wait say so.
type Engine struct {
	options options
	deps    inject.Deps
	log     events
	pool    *buffer.Pool
	shared  transport.Shared
	started time.Time
	loops   []*loop
	groups  *session.Groups
	users   *session.Groups

	admission admission
	recent    recent

	executor workers // nil where loops run handlers
	overseer overseer
	clients  clients
	ladder   ladder

	placed          atomic.Uint64 // connections placed so far by RoundRobin
	pausedAcceptors atomic.Int32  // for lack of descriptors or memory
	openAcceptors   atomic.Int32
	placing         atomic.Int32 // connections that were not accepted and are being placed
	serving         atomic.Bool

	dialled    atomic.Uint64
	dialErrors atomic.Uint64
	adopted    atomic.Uint64

	dials    context.Context // ends when the engine begins to stop
	endDials context.CancelFunc

	mu      sync.Mutex
	running int // loops
	order   uint32
	failure error // why the engine stopped by itself

	detach func() // what Metrics returned, to be called at the end; may be nil

	ended chan struct{} // closed when the last loop has ended
}

// New starts an engine. The error is an *OptionError, one that tells why a
// poller could not be made, ErrUnsupported, or what the Metrics or the Backplane
// returned.
func New(opts ...Option) (*Engine, error) {
	e, err := assemble(opts)
	if err != nil {
		return nil, err
	}
	if err := e.attachMetrics(); err != nil {
		e.dismantle()
		return nil, err
	}
	if err := e.connectGroups(); err != nil {
		e.detachMetrics()
		e.dismantle()
		return nil, err
	}
	e.overseer.start(e)
	for _, l := range e.loops {
		go l.run()
	}
	return e, nil
}

// assemble makes an engine whose loops do not run yet.
func assemble(opts []Option) (*Engine, error) {
	o, err := collect(opts)
	if err != nil {
		return nil, err
	}
	e := &Engine{options: o, deps: o.deps, ended: make(chan struct{})}
	e.dials, e.endDials = context.WithCancel(context.Background())
	e.fillDeps()
	e.log = events{ring: newLogRing(o.logger), clock: e.deps.Clock}
	e.pool = buffer.NewPool(buffer.Config{MaxIdleBytes: o.idleBuffers, Debug: o.debugBuffers, Panicked: e.releasePanicked})
	e.admission.limits = o.entry
	e.recent.ring = make([]closing, o.recent)
	e.shared.Pool = e.pool
	e.shared.LowWater, e.shared.HighWater, e.shared.Cap = o.lowWater, o.highWater, o.outboundCap
	e.shared.QueuedCap = o.outboundTotal
	e.shared.HalfOpen, e.shared.Crash = o.halfOpen, o.crash
	e.shared.Panicked = e.log.panicked
	e.shared.Wait = e.deps.Wait
	e.shared.UnreadLimit, e.shared.TaskLimit = o.unread, o.mailbox
	e.started = e.deps.Clock.Now()
	e.makeGroups()
	e.clients.start(e)
	e.shared.Intake = e.intake()
	if err := e.makeWorkers(); err != nil {
		return nil, err
	}
	if err := e.makeLoops(); err != nil {
		return e, err
	}
	e.ladder.start(e)
	return e, nil
}

// dismantle releases what an engine has whose loops have not run.
func (e *Engine) dismantle() {
	for _, l := range e.loops {
		l.discard()
	}
	e.stopWorkers()
	e.log.stop()
}

// releasePanicked is told of a panic in a function that was given to SendOwned.
func (e *Engine) releasePanicked(value any) {
	if e.options.crash {
		panic(value)
	}
	e.log.panicked(0, value, debug.Stack())
}

func (e *Engine) fillDeps() {
	if e.deps.Clock == nil {
		e.deps.Clock = systemClock{}
	}
	if e.deps.Sockets == nil {
		e.deps.Sockets = sock.Kernel()
	}
	if e.deps.NewPoller == nil {
		e.deps.NewPoller = poller.Open
	}
	if e.deps.Dial == nil {
		e.deps.Dial = e.connect
	}
	if e.deps.AfterFunc == nil {
		e.deps.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if e.deps.Random == nil {
		e.deps.Random = rand.Int64N
	}
	if e.deps.Yield == nil {
		e.deps.Yield = sock.Yield
	}
	if e.deps.Hash == nil {
		seed := maphash.MakeSeed()
		e.deps.Hash = func(a netip.Addr) uint64 { return maphash.Comparable(seed, a) }
	}
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (e *Engine) makeLoops() error {
	for i := range e.options.loops {
		l, err := newLoop(e, i)
		if err != nil {
			e.dismantle()
			if errors.Is(err, errors.ErrUnsupported) {
				return ErrUnsupported
			}
			return fmt.Errorf("engine: poller of loop %d: %w", i, err)
		}
		e.loops = append(e.loops, l)
	}
	e.running = len(e.loops)
	return nil
}

// Listen opens a listening socket and accepts sessions for h. Network is tcp,
// tcp4, tcp6 or unix; port 0 lets the kernel choose. A unix socket file that
// nobody answers on is replaced; one that is in use, or anything that is not a
// socket, is an error. Errors are *net.OpError, *OptionError if h is nil, what the
// poller returned, ErrStopped, or session.ErrMailboxFull if the loop has too much to
// do. It waits for the loop, and so must not be called from a handler (ErrDeadlock).
func (e *Engine) Listen(network, address string, h session.Handler) (*Listener, error) {
	loops := e.loops[:1]
	if e.options.reusePort && network != "unix" {
		loops = e.loops
	}
	return e.listen(loops, h, func(first net.Addr) (sock.Listener, error) {
		if first != nil {
			address = first.String() // the port that the kernel chose
		}
		return e.deps.Sockets.Listen(network, address, sock.ListenOptions{
			ReusePort: e.options.reusePort, Conn: e.options.conn,
		})
	})
}

// Adopt accepts sessions for h from a listener that exists. It is duplicated:
// the caller still owns l and may close it; Go must not accept from it any more.
// A listener without syscall.Conn is refused with an error that names its type.
// It waits for the loop like Listen.
func (e *Engine) Adopt(l net.Listener, h session.Handler) (*Listener, error) {
	return e.listen(e.loops[:1], h, func(net.Addr) (sock.Listener, error) { return e.deps.Sockets.Adopt(l) })
}

// listen starts an acceptor on each of the loops.
func (e *Engine) listen(loops []*loop, h session.Handler, open func(first net.Addr) (sock.Listener, error)) (*Listener, error) {
	if h == nil {
		return nil, &OptionError{Option: "handler", Value: h, Why: "must not be nil"}
	}
	if e.onLoop() || e.onWorker() {
		return nil, ErrDeadlock
	}
	behaviour := session.NewBehaviour(h)
	result := &Listener{engine: e, done: make(chan struct{})}
	result.listening.Store(int32(len(loops)))
	for _, l := range loops {
		opened, err := open(result.addr)
		if err != nil {
			_ = result.Close()
			return nil, err
		}
		result.addr = opened.Addr
		a := &acceptor{
			loop: l, listener: opened, handler: behaviour, owner: result,
			local: opened.Addr.Network() == "unix", alone: len(loops) == 1,
		}
		if err := e.startAcceptor(a); err != nil {
			_ = result.Close()
			return nil, err
		}
		result.acceptors = append(result.acceptors, a)
	}
	e.log.listening(result.addr)
	return result, nil
}

// startAcceptor starts a on its loop and waits for it.
func (e *Engine) startAcceptor(a *acceptor) error {
	e.openAcceptors.Add(1)
	done := make(chan error, 1)
	posted := a.loop.mail.postTask(func() {
		// Not what was obeyed: if the order has come, other loops may have ended,
		// and what is accepted here could not be placed there.
		if a.loop.order.Load() != orderRun {
			done <- ErrStopped
			return
		}
		done <- a.start()
	})
	err := ErrStopped
	switch {
	case posted:
		err = <-done // a loop runs its last tasks when it ends
	case a.loop.order.Load() == orderRun:
		err = session.ErrMailboxFull
	}
	if err != nil {
		_ = a.listener.Release(e.deps.Sockets)
		e.acceptorEnded()
	}
	return err
}

// Serve waits until ctx is done, and then shuts down gracefully for at most the
// drain spread and the drain timeout; or until the engine is ended otherwise. It returns what Shutdown
// does, nil after a graceful end; ErrServing when called twice, ErrDeadlock from a
// handler.
func (e *Engine) Serve(ctx context.Context) error {
	if e.onLoop() || e.onWorker() || e.clients.caller() != nil {
		return ErrDeadlock
	}
	if e.serving.Swap(true) {
		return ErrServing
	}
	select {
	case <-e.ended:
		return e.result()
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.options.spread+e.options.drain)
	defer cancel()
	return e.Shutdown(drain)
}

// Stop begins a graceful shutdown and returns at once; handlers may call it.
// Sessions are first given what was published or broadcast before. Serve, Shutdown and
// Close return when it has ended. It has no time limit of its own: peers that do not
// answer are given the linger and stall time-outs.
func (e *Engine) Stop() { e.command(orderDrain) }

// Shutdown stops accepting, lets every session write what is queued and send
// FIN, all at once or as WithDrainSpread says, and waits for the peers to do the same. When ctx ends before that, what
// is left is aborted, and the error says how many sessions that were, and wraps
// the cause of ctx. It then waits for handlers as long as they get on: not once none has begun or
// returned for 50 ms, and a second at most. If any are left the error wraps ErrAbandoned, too. Any
// other error is why the engine failed before. It must not be called from a handler (ErrDeadlock).
// More than one call is harmless.
func (e *Engine) Shutdown(ctx context.Context) error {
	if e.onLoop() || e.onWorker() || e.clients.caller() != nil {
		return ErrDeadlock
	}
	e.command(orderDrain)
	select {
	case <-e.ended:
		return e.result()
	case <-ctx.Done():
	}
	left := e.count()
	e.command(orderAbort)
	abandoned := e.abandonAfter(abandonGrace, abandonLimit)
	if left == 0 {
		return errors.Join(abandoned, e.result())
	}
	return errors.Join(fmt.Errorf("engine: shutdown: %d sessions aborted: %w", left, context.Cause(ctx)), abandoned)
}

// Close ends the engine at once: sessions are aborted, and what they had queued
// is counted as unsent. It waits until the loops have ended and handlers have
// returned, for those at most the drain timeout, and must not be called from a handler
// (ErrDeadlock). A second call does nothing. The error is ErrAbandoned, or why the
// engine failed before, if it did.
func (e *Engine) Close() error {
	if e.onLoop() || e.onWorker() || e.clients.caller() != nil {
		return ErrDeadlock
	}
	e.command(orderAbort)
	return errors.Join(e.abandonAfter(e.options.drain, e.options.drain), e.result())
}

// ListenAndServe makes an engine that listens on address for h and serves until
// ctx is done. The errors are those of New, Listen and Serve; when it returns, the
// engine has ended.
func ListenAndServe(ctx context.Context, network, address string, h session.Handler, opts ...Option) error {
	e, err := New(opts...)
	if err != nil {
		return err
	}
	if _, err := e.Listen(network, address, h); err != nil {
		return errors.Join(err, e.Close())
	}
	return e.Serve(ctx)
}
