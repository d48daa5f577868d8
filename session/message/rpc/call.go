package rpc

import (
	"context"
	"errors"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// The way of a call:
//
//  1. Call or Go finds the line of the session, and adds the call to its table.
//  2. The request is sent; the table is told where in the session's output it ends.
//  3. Whoever takes the call out of the table ends it: the answer (line.answered), the
//     context (abandon), a deadline (expire), or the end of the session (line.close).
//  4. End tells the caller.

// Sender is what requests are sent over: a *session.Session, or something like an
// engine's client, which has another session whenever it has connected again.
type Sender interface {
	// SendNotify is as session.Session has it. What it returns an error for, or tells
	// done an error of, has not been sent, unless the error is a *session.CloseError
	// with InWrite above 0.
	SendNotify(p []byte, done func(error)) error
}

// Connected is a Sender that tells which session it has now; nil if it has none. Requests
// go straight to that session. Those that are given to SendNotify, since there is none,
// may leave with the next one.
type Connected interface {
	Sender
	Session() *session.Session
}

// call is a request, or a ping, that waits for its answer.
type call struct {
	// The table's.
	id    uint64
	end   uint64      // where the request ends in the session's output, if sent
	sent  bool        // the request is queued
	place int         // among the deadlines
	stop  func() bool // no longer watches the context; nil: nobody does

	// Not changed while it is in a table.
	kind     message.Kind // KindRequest or KindPing
	typ      string
	deadline time.Duration // since the peer began; 0: none
	expired  error         // why it ends when that has come
	began    time.Duration // of a ping
	done     func(*message.Message, error)

	// Of roaming: see there.
	home  Connected
	bound *session.Session

	// For the caller that waits, if done is nil. There is one value in ready when the
	// call has ended.
	ready chan struct{}
	reply *message.Message
	trip  time.Duration // of a ping
	err   error
}

func (p *Peer) newCall(k message.Kind, typ string) *call {
	c, ok := p.calls.Get().(*call)
	if !ok {
		c = &call{ready: make(chan struct{}, 1)}
	}
	c.kind, c.typ = k, typ
	return c
}

func (p *Peer) recycle(c *call) {
	*c = call{ready: c.ready}
	p.calls.Put(c)
}

// Call sends m as a request and waits for the answer. The error is a *RemoteError if the
// peer has answered with one; else a *CallError, that is ErrUnsent or ErrInDoubt, and
// wraps why: the cause of ctx, after which the peer is told that nobody waits any more; a
// *session.CloseError; a *LimitError; what sending returned. The deadline of ctx travels
// with the request, in a value with KeyTimeout. M is only read; kind and correlation id
// need not be set.
//
// Call also waits for room in the session's output. Called from a handler of the same
// session, or from one on a loop of its engine in modes inline and single, it returns
// ErrDeadlock. There Go does, or a handler of HandleApart.
func (p *Peer) Call(ctx context.Context, to Sender, m *message.Message) (*message.Message, error) {
	c := p.newCall(message.KindRequest, m.Type)
	defer p.recycle(c)
	if err := p.wait(ctx, to, c, m); err != nil {
		return nil, err
	}
	return c.reply, nil
}

// Ping asks whether the other end handles what it gets, and returns how long that took,
// what the handlers at both ends had to do first included. The session's Stats have it as
// RTT, as they have that of heartbeats. The errors are those of Call.
func (p *Peer) Ping(ctx context.Context, to Sender) (time.Duration, error) {
	c := p.newCall(message.KindPing, "")
	defer p.recycle(c)
	if err := p.wait(ctx, to, c, nil); err != nil {
		return 0, err
	}
	return c.trip, nil
}

// Go is Call without waiting, for room neither. When it returns an error, done is never
// called; the error is ErrUnsent, or ErrInDoubt if the session ended at that moment.
// Otherwise done, if it is not nil, is called exactly once, with the message or the error
// that Call would have returned: where the session's handlers run, or on a goroutine of its
// own if deadline or context have ended the call. It must not wait for long.
func (p *Peer) Go(ctx context.Context, to Sender, m *message.Message, done func(*message.Message, error)) error {
	c := p.newCall(message.KindRequest, m.Type)
	if c.done = done; done == nil {
		c.done = func(*message.Message, error) {}
	}
	r, err := p.route(to)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = c.failed(ErrUnsent, err)
		p.recycle(c)
		p.counts.ended(err)
		return err
	}
	if at, ok := ctx.Deadline(); ok {
		c.deadline, c.expired = max(at.Sub(p.began), 1), context.DeadlineExceeded
	} else {
		p.limit(c)
	}
	id, err := p.send(ctx, &r, c, m)
	if err != nil {
		p.recycle(c)
		p.counts.ended(err)
		return err
	}
	if ctx.Done() != nil {
		r.watch(ctx, c, id)
	}
	return nil
}

// watch has a call ended with its context.
func (r route) watch(ctx context.Context, c *call, id uint64) {
	r.table.watch(c, id, context.AfterFunc(ctx, func() { r.abandon(id, context.Cause(ctx)) }))
}

// limit gives a call that has no deadline the one of WithTimeout.
func (p *Peer) limit(c *call) {
	if p.options.timeout > 0 {
		c.deadline, c.expired = p.now()+p.options.timeout, ErrTimeout
	}
}

// wait sends a request and waits until the call has ended.
func (p *Peer) wait(ctx context.Context, to Sender, c *call, m *message.Message) error {
	err := p.waitFor(ctx, to, c, m)
	p.counts.ended(err)
	return err
}

func (p *Peer) waitFor(ctx context.Context, to Sender, c *call, m *message.Message) error {
	r, err := p.route(to)
	switch {
	case err != nil:
		return c.failed(ErrUnsent, err)
	case r.line != nil && r.line.needsCaller():
		return c.failed(ErrUnsent, ErrDeadlock)
	case context.Cause(ctx) != nil:
		return c.failed(ErrUnsent, context.Cause(ctx))
	}
	if _, ok := ctx.Deadline(); !ok {
		p.limit(c)
	}
	c.began = p.now()
	id, err := p.send(ctx, &r, c, m)
	if err != nil {
		return err
	}
	why := r.await(ctx, c)
	if why == nil {
		return c.err
	}
	if r.table.take(id) == nil {
		<-c.ready // somebody else has taken it
		return c.err
	}
	r.cancel(id)
	return c.failed(ErrInDoubt, why)
}

// await waits for the end of a call, and returns nil, or why it does not wait any longer.
func (r route) await(ctx context.Context, c *call) error {
	var suspicious <-chan time.Time
	if r.line != nil && r.line.looped.Load() {
		timer := time.NewTimer(suspiciousAfter)
		defer timer.Stop()
		suspicious = timer.C
	}
	for {
		select {
		case <-c.ready:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-suspicious:
			if r.line.session.OnLoop() {
				return ErrDeadlock
			}
		}
	}
}

// suspiciousAfter is when a caller in mode inline or single makes sure that it does not
// keep the loop from taking the answer, as a handler that is not the peer's may.
const suspiciousAfter = 100 * time.Millisecond

// failed is the error of a call that has no answer.
func (c *call) failed(outcome, why error) error {
	return &CallError{Type: c.typ, Outcome: outcome, Err: why}
}

// ended is the error of a call whose session has ended.
func (c *call) ended(e *ending) error {
	if c.end > e.taken {
		return c.failed(ErrUnsent, e.cause)
	}
	return c.failed(ErrInDoubt, e.cause)
}

// route is where a request goes.
type route struct {
	peer  *Peer
	table *table
	line  *line     // nil: to home, whatever session that will have
	home  Connected // nil: it is a session
}

// cancel tells the peer that nobody waits for an answer any more. If there is no room for
// that it is not told, and its handler goes on until the deadline, or for nothing.
func (r route) cancel(id uint64) {
	h := message.Header{Kind: message.KindCancel, Correlation: id}
	if r.line != nil {
		_ = r.line.send(h)
	} else if p, err := r.peer.encode(nil, h, nil, 0); err == nil {
		_ = r.home.SendNotify(p, func(error) {})
	}
}

// route finds the way over a Sender.
func (p *Peer) route(to Sender) (route, error) {
	switch to := to.(type) {
	case *session.Session:
		l, err := p.lineTo(to)
		if err != nil {
			return route{}, err
		}
		return route{peer: p, table: &l.table, line: l}, nil
	case Connected:
		if s := to.Session(); s != nil {
			if l, err := p.lineTo(s); err == nil {
				return route{peer: p, table: &l.table, line: l, home: to}, nil
			}
		}
		return p.roam(to), nil
	}
	return route{}, ErrNoSession
}

func (p *Peer) roam(home Connected) route {
	return route{peer: p, table: &p.roaming.table, home: home}
}

// send adds c to a table and sends its request. With an error c is the caller's, and
// nobody ends it any more; without, somebody ends it, or has.
func (p *Peer) send(ctx context.Context, r *route, c *call, m *message.Message) (id uint64, err error) {
	for {
		if id, err = p.sendOver(ctx, *r, c, m); err == nil {
			return id, nil
		}
		lost := errors.Is(err, session.ErrClosed) || errors.Is(err, session.ErrNotConnected)
		if r.line == nil || r.home == nil || !lost || !errors.Is(err, ErrUnsent) {
			return id, err
		}
		*r = p.roam(r.home) // it has lost its session meanwhile
	}
}

func (p *Peer) sendOver(ctx context.Context, r route, c *call, m *message.Message) (id uint64, err error) {
	c.home, c.bound = r.home, nil
	h := message.Header{Kind: c.kind}
	if m != nil {
		h = m.Header
		h.Kind = c.kind
	}
	wait := time.Duration(0) // how long to wait for room; 0: not at all
	if c.done == nil {
		wait = forever
		if c.deadline != 0 {
			wait = c.deadline - p.now()
		}
	}
	if id, err = r.table.add(c); err != nil {
		return 0, c.failed(ErrUnsent, err)
	}
	// From here on somebody else may end the call, and use c for another one.
	h.Correlation = id
	out := p.takeBuffer()
	defer p.returnBuffer(out)
	*out, err = p.encode(*out, h, m, left(ctx))
	var over *ending
	switch {
	case err != nil:
	case r.line != nil:
		var end uint64
		if end, err = r.line.sendRequest(ctx, *out, wait); err == nil {
			over = r.table.sent(c, id, end)
		}
	default:
		err = p.sendRoaming(r.home, id, *out)
	}
	switch {
	case over != nil:
		return id, c.ended(over)
	case err == nil:
		return id, nil
	case r.table.take(id) == nil:
		if wait == 0 {
			return id, nil // it has ended meanwhile, and done was told
		}
		<-c.ready // likewise, but we know better
	}
	return id, c.failed(ErrUnsent, err)
}

// forever is longer than anybody waits.
const forever = 1 << 62

// sendRequest sends a request, and tells where it ends in the session's output: not
// before end. If there is no room it waits for some.
func (l *line) sendRequest(ctx context.Context, p []byte, wait time.Duration) (end uint64, err error) {
	l.keepReading()
	if end, err = l.session.SendAt(p); wait == 0 || !errors.Is(err, session.ErrBufferFull) {
		return end, err
	}
	if wait < forever {
		limited, cancel := context.WithTimeoutCause(ctx, wait, ErrTimeout)
		defer cancel()
		ctx = limited
	}
	st := l.session.Stats()
	end = st.BytesOut + uint64(st.Queued+len(p))
	return end, l.session.SendContext(ctx, p)
}

// keepReading has answers read, before the first request, also while requests wait for the
// peer to read them: it may wait for the answers to be read first.
func (l *line) keepReading() {
	if !l.asks.Load() && !l.asks.Swap(true) {
		l.session.KeepReading(true)
	}
}

// left is the time that ctx leaves, as a request tells it; 0: it does not say. That of
// WithTimeout is not told: a cancel is sent when it is over.
func left(ctx context.Context) time.Duration {
	at, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(at), 1)
}

// abandon ends a call because of its context.
func (r route) abandon(id uint64, why error) {
	if c := r.table.take(id); c != nil {
		r.giveUp(c, why)
	}
}

// giveUp ends a call that nobody wants to wait for any longer, on a goroutine of its own.
func (r route) giveUp(c *call, why error) {
	r.cancel(c.id)
	if r.line != nil {
		defer r.line.recovered()
	}
	r.peer.end(c, nil, c.failed(ErrInDoubt, why))
}

// expire ends the calls of a table whose deadlines have come.
func (p *Peer) expire(t *table, r func(*call) route) {
	each(t.expire(p.now()), func(c *call) { r(c).giveUp(c, c.expired) })
}

// end tells the caller how a call has ended that was taken out of its table.
func (p *Peer) end(c *call, reply *message.Message, err error) {
	if c.stop != nil {
		c.stop()
	}
	if c.done == nil {
		c.reply, c.err = reply, err
		c.ready <- struct{}{}
		return
	}
	done := c.done
	p.recycle(c)
	p.counts.ended(err)
	done(reply, err)
}

// each calls f with each of calls. A completion that ends the goroutine
// (runtime.Goexit) does not keep the others from being called.
func each(calls []*call, f func(*call)) {
	defer func() {
		if len(calls) > 0 {
			go each(calls, f)
		}
	}()
	for len(calls) > 0 {
		first := calls[0]
		calls = calls[1:]
		f(first)
	}
}

// takeBuffer lends an empty buffer to encode in.
func (p *Peer) takeBuffer() *[]byte {
	if b, ok := p.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 512)
	return &b
}

// bufferKept is how large a buffer may be that is kept, bytes.
const bufferKept = 64 << 10

func (p *Peer) returnBuffer(b *[]byte) {
	if cap(*b) <= bufferKept {
		*b = (*b)[:0]
		p.buffers.Put(b)
	}
}
