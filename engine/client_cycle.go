package engine

import (
	"context"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// How a client goes on by itself:
//
//  1. wait: a timer is set, for the back-off
//  2. lineUp: its goroutine calls OnReconnect, and has the client queue for a place
//     among those who dial; if there is one it dials itself, else it ends
//  3. dial: one attempt; its goroutine then dials for the next in the queue
//  4. Opened: the session's handlers call OnConnect and move the queue
//  5. Closed: they call OnDisconnect, and 1
//
// An attempt that fails goes on with 1. Whoever finds the client closed brings it to
// finish.

// wait has next called after d, unless somebody else takes the client meanwhile. The
// caller holds the lock and has the client in hand.
func (c *Client) wait(d time.Duration, next func(turn uint64)) {
	c.enter(waiting)
	c.turn++
	turn := c.turn
	c.cancel = c.engine.clients.after(d, func() { next(turn) })
}

// goOn has the client try again after the back-off, or rest, or brings it to its end. The
// caller holds the lock and has the client in hand.
func (c *Client) goOn() {
	c.attempt = nil
	switch {
	case c.closed:
		c.end()
	case c.auto:
		c.wait(c.options.backoff.before(c.tries+1, c.engine.deps.Random), c.announce)
	default:
		c.enter(resting)
	}
}

// seize takes the client out of phase resting or waiting. The caller holds the lock.
func (c *Client) seize() {
	if c.cancel != nil {
		c.cancel() // if it comes too late, the turn is another
		c.cancel = nil
	}
	c.turn++
	c.enter(busy)
}

// seizeAt does so for whoever has waited for this turn, and reports false if it is over.
func (c *Client) seizeAt(turn uint64) bool {
	if c.phase != waiting || c.turn != turn {
		return false
	}
	c.cancel = nil
	c.enter(busy)
	return true
}

// enter changes the phase.
func (c *Client) enter(p phase) {
	c.phase = p
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// watch returns what is closed when the phase changes. The caller holds the lock.
func (c *Client) watch() <-chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// announce is step 2 of all attempts but the first, on a goroutine of its own.
func (c *Client) announce(turn uint64) {
	c.mu.Lock()
	ok := c.seizeAt(turn)
	if ok {
		c.tries++
	}
	attempt := c.tries
	c.mu.Unlock()
	if !ok {
		return
	}
	c.engine.clients.call(c, func() {
		if f := c.options.onReconnect; f != nil {
			f(c, attempt)
		}
	}, func() {
		c.mu.Lock()
		if c.closed {
			c.goOn()
			c.mu.Unlock()
			return
		}
		c.enter(waiting)
		c.mu.Unlock()
		c.lineUp(turn)
	})
}

// lineUp is the rest of step 2.
func (c *Client) lineUp(turn uint64) {
	c.engine.clients.connector.work(&ticket{client: c, turn: turn})
}

// dialAt is step 3, for whoever has waited for this turn.
func (c *Client) dialAt(turn uint64) {
	c.mu.Lock()
	if !c.seizeAt(turn) {
		c.mu.Unlock()
		return
	}
	ctx, a := c.begin(context.Background())
	c.mu.Unlock()
	a.dial(ctx)
}

// begin makes an attempt. The caller holds the lock and has the client in hand.
func (c *Client) begin(ctx context.Context) (context.Context, *attempt) {
	a := &attempt{client: c, done: make(chan struct{})}
	ctx, a.cancel = context.WithCancel(ctx)
	c.attempt = a
	return ctx, a
}

// dialInTurn dials when there is a place among those who do.
func (c *Client) dialInTurn(ctx context.Context, a *attempt) {
	x := &c.engine.clients.connector
	t := &ticket{client: c, given: make(chan struct{})}
	if !x.enter(t) {
		if err := c.engine.await(ctx, t.given); err != nil && x.withdraw(t) {
			a.failed(err)
			return
		}
	}
	a.dial(ctx)
	x.pass(c.target)
}

// dial makes the attempt.
func (a *attempt) dial(ctx context.Context) {
	c := a.client
	if d := c.options.timeout; d != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	defer a.cancel()
	h := session.Attended(c.handler, a, transport.Key{})
	switch s, err := c.engine.tryDial(ctx, c.target.network, c.target.address, h); {
	case err == nil:
	case s != nil:
		a.giveUp(err)
	default:
		a.failed(err)
	}
}

// failed ends an attempt of which no session has come, if that is not known already.
func (a *attempt) failed(err error) {
	a.client.mu.Lock()
	defer a.client.mu.Unlock()
	if a.settle(err) {
		a.client.goOn()
	}
}

// giveUp ends an attempt of which a session has come, which nobody wants: its handlers are
// called. When it closes, Closed goes on.
func (a *attempt) giveUp(err error) {
	a.client.mu.Lock()
	defer a.client.mu.Unlock()
	if a.settle(err) {
		a.givenUp = true
	}
}

// settle notes that the attempt has failed, and reports false if its outcome is known
// already. The caller holds the lock.
func (a *attempt) settle(err error) bool {
	c := a.client
	if a.settled {
		return false
	}
	if c.closed {
		err = c.why
	}
	a.settled, a.err, c.err = true, err, err
	close(a.done)
	return true
}

// Opened is step 4: OnOpen has returned.
func (a *attempt) Opened(s *session.Session) {
	c := a.client
	c.mu.Lock()
	if a.settled || c.closed {
		c.mu.Unlock()
		_ = s.Close() // it comes too late
		return
	}
	a.settled, a.opened, a.cancel = true, true, nil
	a.session, a.since, c.err = s, c.engine.deps.Clock.Now(), nil
	c.auto = true
	c.enter(connected)
	c.mu.Unlock()
	defer close(a.done)
	if f := c.options.onConnect; f != nil {
		f(c, s)
	}
	c.engine.tellAll(c.flush(s), func() {})
}

// Closed is step 5: OnClose has returned.
func (a *attempt) Closed(s *session.Session, reason *session.CloseError, lost session.Lost) {
	c := a.client
	c.live.CompareAndSwap(s, nil)
	if !a.isOpened() {
		a.failed(reason) // OnOpen panicked, or the client was closed
		a.goOn()
		return
	}
	c.mu.Lock()
	told, plain, bytes := c.remains()
	e := &DisconnectError{
		Err: reason, Bytes: reason.Unsent + bytes,
		Messages: lost.Messages + plain + len(told), Notified: lost.Notified + len(told),
	}
	a.session, c.attempt, c.err = nil, nil, e
	if c.engine.deps.Clock.Now().Sub(a.since) >= c.options.backoff.longest {
		c.tries = 0
	}
	c.enter(leaving)
	c.mu.Unlock()
	c.engine.protect(func() { c.report(told, e) }, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.goOn()
	})
}

// goOn has the client go on after an attempt that was given up.
func (a *attempt) goOn() {
	a.client.mu.Lock()
	defer a.client.mu.Unlock()
	if a.givenUp {
		a.client.goOn()
	}
}

func (a *attempt) isOpened() bool {
	a.client.mu.Lock()
	defer a.client.mu.Unlock()
	return a.opened
}

// end brings a client that was closed to its end: on a goroutine of its own, if there is
// something to tell. The caller holds the lock and has the client in hand.
func (c *Client) end() {
	if c.queue.messages.Len()+c.queue.refused > 0 {
		c.enter(busy)
		c.engine.clients.after(0, c.finish)
		return
	}
	c.over()
}

// over is the very end. The caller holds the lock.
func (c *Client) over() {
	c.enter(ended)
	c.engine.clients.remove(c)
}

// finish tells what is to be told at the end.
func (c *Client) finish() {
	c.mu.Lock()
	told, plain, bytes := c.remains()
	e := &DisconnectError{Err: c.why, Messages: plain + len(told), Notified: len(told), Bytes: bytes}
	c.mu.Unlock()
	if plain == 0 {
		e = nil
	}
	c.engine.clients.call(c, func() { c.report(told, e) }, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over()
	})
}

// report tells completions, and OnDisconnect if e is not nil.
func (c *Client) report(told []refusal, e *DisconnectError) {
	c.engine.tellAll(told, func() {
		if f := c.options.onDisconnect; f != nil && e != nil {
			f(c, e)
		}
	})
}
