package enginetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// dialler is a client of the engine's, and a user of it: it sends, connects, closes
// sessions and at last the client, all at random moments.
type dialler struct {
	draws
	name    string
	sim     *simulation
	client  *engine.Client
	remote  *remote
	route   *route
	codec   int
	queue   int // bytes that may wait in the client
	backoff backoff
	wild    float64 // how often its functions do what makes trouble
	ledger  ledger

	// What it does.
	ops     int // done or left out
	left    int // to do
	at      time.Time
	closeAt time.Time
	started bool

	// What the client has told.
	line       *line // between OnConnect and OnDisconnect
	inFunction bool
	tries      int       // that OnReconnect has told of since a session was good
	closedAt   time.Time // when OnClose returned last
	openedAt   time.Time
	retry      retry
	retries    bool // it is to try again, as retry tells
	linedUp    bool // it is to dial now
	closed     bool // Close was called
	last       bool // OnDisconnect has come for the last time
	connects   int  // calls of Connect that have not returned, or since retry
}

func (d *dialler) String() string { return d.name }

// caller is a dialler as an actor.
type caller struct{ *dialler }

// String tells what is left when nobody does anything any more.
func (c caller) String() string {
	if c.closed && !c.over() {
		return c.name + ": closed, and has not ended"
	}
	return ""
}

func (d *dialler) over() bool {
	select {
	case <-d.client.Done():
		return true
	default:
		return false
	}
}

func (d *dialler) ready() bool {
	now := d.sim.now
	return d.left > 0 && !now.Before(d.at) || !d.closed && !now.Before(d.closeAt)
}

func (d *dialler) wakes() (first time.Time) {
	if d.left > 0 {
		first = d.at
	}
	if !d.closed && (first.IsZero() || d.closeAt.Before(first)) {
		first = d.closeAt
	}
	if !first.After(d.sim.now) {
		return time.Time{}
	}
	return first
}

func (d *dialler) step() {
	s := d.sim
	if !d.closed && !s.now.Before(d.closeAt) {
		d.close()
		return
	}
	d.left--
	d.ops++
	if d.chance(0.6) {
		d.at = s.now.Add(d.within(300 * time.Millisecond))
	}
	name := fmt.Sprintf("%s.%d", d.name, d.ops)
	if s.parts.has(name) {
		d.act(drawsOf(s.seed, name))
	}
}

// act does one thing.
func (d *dialler) act(x draws) {
	switch op := x.IntN(10); {
	case !d.started && op < 7:
		d.started = true
		if d.line == nil && d.connects == 0 {
			d.linedUp = d.route.owner == d && !d.closed && !d.sim.ending
		}
		d.sim.note("%s: Start", d)
		d.client.Start()
	case op < 6:
		for range x.upTo(4) {
			d.send(x.upTo(4<<10), x.chance(0.3))
		}
	case op == 6:
		d.connect(x)
	case op == 7:
		d.endSession(x)
	default:
		d.look()
	}
}

// send has the client send a message.
func (d *dialler) send(n int, notify bool) {
	s := d.sim
	waits, alone, closed := d.ledger.waits(), d.alone(), d.closed
	p := d.ledger.add(n, notify)
	if d.line != nil {
		d.line.grows(p.size)
	}
	body := content(classParcel, p.number, n)
	var err error
	if notify {
		err = d.client.SendNotify(body, d.completion(p))
	} else {
		err = d.client.Send(body)
	}
	clear(body)
	s.note("%s: Send of message %d, %d bytes: %v", d, p.number, p.body, err)
	var want error
	switch {
	case d.queue == 0:
		want = session.ErrNotConnected
	case waits+p.body+parcelOverhead > d.queue:
		want = session.ErrBufferFull
	}
	switch {
	case closed && !errors.Is(err, session.ErrClosed):
		s.failf("%s: Send after Close: %v", d, err)
	case d.closed, s.ending:
	case alone && s.total == 0 && err != want:
		s.failf("%s: %d bytes wait in the client, at most %d may, and %d more are sent: %v", d, waits, d.queue, p.body, err)
	}
	switch {
	case err == nil:
		return
	case errors.Is(err, session.ErrClosed) && (d.closed || s.ending):
	case errors.Is(err, session.ErrBufferFull), errors.Is(err, session.ErrMailboxFull) && notify:
	case errors.Is(err, session.ErrNotConnected) && d.queue == 0:
	default:
		s.failf("%s: Send: %v", d, err)
	}
	d.ledger.refused(p)
}

// alone tells whether there certainly is no session that could take messages.
func (d *dialler) alone() bool {
	return d.line == nil && !slices.ContainsFunc(d.remote.lines, func(k *line) bool { return k.owner == d && k.state == opened })
}

// completion is what a message's is.
func (d *dialler) completion(p *parcel) func(error) {
	return func(err error) {
		defer d.sim.tripped()
		defer d.enter("a completion")()
		d.ledger.tell(p, err)
		if d.over() {
			d.sim.failf("%s: a completion runs after its end", d)
		}
		switch {
		case err == nil, errors.As(err, new(*session.CloseError)):
		case errors.Is(err, session.ErrClosed) && d.closed, errors.Is(err, engine.ErrStopped) && d.sim.ending:
			d.sim.unsent += p.body
		default:
			d.sim.failf("%s: completion %d: %v", d, p.number, err)
		}
		d.exit(0.02)
	}
}

// connect has a goroutine of the program's connect.
func (d *dialler) connect(x draws) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if x.chance(0.7) {
		ctx, cancel = context.WithTimeout(ctx, x.within(time.Second))
	}
	d.connects++
	d.retry.exact, d.linedUp = false, false
	d.sim.hands.hire(false, func() {
		defer d.sim.tripped()
		defer cancel()
		err := d.client.Connect(ctx)
		d.connects--
		d.retry.exact = false
		d.sim.note("%s: Connect: %v", d, err)
		switch {
		case err == nil, d.sim.failed:
		case errors.Is(err, engine.ErrDeadlock):
			d.sim.failf("%s: Connect: %v", d, err)
		case errors.Is(err, session.ErrClosed) && !d.closed, errors.Is(err, engine.ErrStopped) && !d.sim.ending:
			d.sim.failf("%s: Connect: %v", d, err)
		}
	})
}

// endSession ends the session that there is.
func (d *dialler) endSession(x draws) {
	of := d.client.Session()
	if of == nil {
		return
	}
	end := pick(x, of.Close, of.Abort, of.CloseWrite, of.Flush)
	d.sim.note("%s: its session is ended, or flushed: %v", d, end())
}

// look asks the client what it knows.
func (d *dialler) look() {
	if of := d.client.Session(); (of != nil) != (d.line != nil) || of != nil && of != d.line.session {
		d.sim.failf("%s: has a session: %v", d, of != nil)
	}
	if err := d.client.Err(); err != nil && d.line != nil {
		d.sim.failf("%s: is connected, and has the error %v", d, err)
	}
}

// close closes the client.
func (d *dialler) close() {
	again := d.closed
	d.closed, d.retries, d.linedUp = true, false, false
	err := d.client.Close()
	d.sim.note("%s: Close: %v", d, err)
	if again != (err != nil) && !d.sim.ending {
		d.sim.failf("%s: Close: %v, closed before: %v", d, err, again)
	}
}

// maybe closes the client, in a handler or a function of the client.
func (d *dialler) maybe(p float64) {
	if d.chance(p * d.wild) {
		d.close()
	}
}

// exit ends the goroutine of a function, or panics.
func (d *dialler) exit(p float64) {
	switch {
	case !d.chance(p * d.wild):
	case d.chance(0.5):
		d.sim.note("%s: ends its goroutine", d)
		runtime.Goexit()
	default:
		d.sim.note("%s: panics", d)
		panic(planned)
	}
}

// enter is called when a function of the client begins, and what it returns when it ends.
func (d *dialler) enter(what string) (leave func()) {
	d.sim.note("%s: %s", d, what)
	if d.inFunction || d.line != nil && d.line.inHandler {
		d.sim.failf("%s: %s, while another function of the client, or a handler, runs", d, what)
	}
	if d.over() {
		d.sim.failf("%s: %s, after its end", d, what)
	}
	d.inFunction = true
	return func() { d.inFunction = false }
}

// options are those that the client is made with.
func (d *dialler) options() []engine.ClientOption {
	return []engine.ClientOption{
		engine.WithBackoff(d.backoff.shortest, d.backoff.longest), engine.WithReconnectQueue(d.queue),
		engine.OnConnect(d.onConnect), engine.OnDisconnect(d.onDisconnect), engine.OnReconnect(d.onReconnect),
	}
}

func (d *dialler) onConnect(c *engine.Client, of *session.Session) {
	s := d.sim
	defer s.tripped()
	defer d.enter("OnConnect")()
	k, ok := of.Value().(*line)
	if !ok || k.owner != d || k.state != opened || d.line != nil || c != d.client || d.last {
		s.failf("%s: OnConnect, before OnOpen or before OnDisconnect", d)
		return
	}
	d.line, d.openedAt = k, s.now
	d.retries, d.linedUp = false, false
	d.look()
	k.interrupt()
	if d.chance(0.5) {
		k.say(d.upTo(1<<10), false)
	}
	if d.chance(0.3) {
		d.send(d.upTo(1<<10), d.chance(0.3))
	}
	d.maybe(0.05)
	d.exit(0.05)
	s.flushing = d // it holds the client's lock while it moves the queue
}

func (d *dialler) onReconnect(c *engine.Client, attempt int) {
	s := d.sim
	defer s.tripped()
	defer d.enter(fmt.Sprintf("OnReconnect %d", attempt))()
	d.tries++
	if attempt != d.tries || d.line != nil || c != d.client || d.last {
		s.failf("%s: OnReconnect of attempt %d, %d were made; connected: %v", d, attempt, d.tries-1, d.line != nil)
	}
	waited, most := s.now.Sub(d.retry.since), d.backoff.most(attempt)+s.drift-d.retry.drift
	if waited < d.backoff.shortest || d.retry.exact && d.connects == 0 && waited > most {
		s.failf("%s: tries again after %v, for the %d. time; %v", d, waited, attempt, d.backoff)
	}
	d.retries = false
	if d.chance(0.1) {
		s.hands.yield(s.now.Add(d.within(100 * time.Millisecond)))
	}
	if d.chance(0.1) {
		d.send(d.upTo(1<<10), d.chance(0.3))
	}
	d.maybe(0.05)
	d.again(false)
	d.linedUp = d.route.owner == d && !d.closed && !s.ending && d.connects == 0
	d.exit(0.05)
}

func (d *dialler) onDisconnect(c *engine.Client, err error) {
	s := d.sim
	defer s.tripped()
	defer d.enter(fmt.Sprintf("OnDisconnect: %v", err))()
	var e *engine.DisconnectError
	k := d.line
	switch {
	case !errors.As(err, &e) || c != d.client || d.last:
		s.failf("%s: OnDisconnect gets %v", d, err)
		return
	case k != nil && (k.state != closed || k.reason == nil || e.Err != error(k.reason)):
		s.failf("%s: OnDisconnect before OnClose, or with another reason: %v", d, err)
		return
	case k == nil && !(d.closed && e.Err == session.ErrClosed || s.ending && e.Err == engine.ErrStopped):
		s.failf("%s: OnDisconnect without a session: %v", d, err)
		return
	}
	d.report(k, e)
	d.last = k == nil
	d.line = nil
	if k != nil && d.closedAt.Sub(d.openedAt) >= d.backoff.longest {
		d.tries = 0
	}
	d.look()
	if d.chance(0.3) {
		d.send(d.upTo(1<<10), d.chance(0.3))
	}
	d.maybe(0.05)
	d.again(k != nil && !d.closed && !s.ending)
	d.exit(0.05)
}

// report compares what OnDisconnect is told with what has left.
func (d *dialler) report(k *line, e *engine.DisconnectError) {
	s, own := d.sim, 0
	if k != nil {
		own = k.ownUnsent()
	}
	ended := d.closed || s.ending
	list := d.ledger.report(e.Messages-own, d.last || k == nil || d.closed)
	notified := 0
	for _, p := range list {
		if p.notify {
			notified++
		}
	}
	if notified != e.Notified {
		s.failf("%s: %d of the unsent messages have completions, not %d", d, notified, e.Notified)
	}
	if k == nil {
		d.kept(list, e.Bytes)
		return
	}
	for n := len(list); n >= 0; n-- {
		if k.unsent(n, list) != k.reason.Unsent {
			continue
		}
		if n < len(list) && !ended {
			break
		}
		d.kept(list[n:], e.Bytes-k.reason.Unsent)
		return
	}
	s.failf("%s: %d bytes are unsent, of a session %d, of %d messages; all of these would be %d", d, e.Bytes, k.reason.Unsent, len(list), k.unsent(len(list), list))
}

// kept counts messages that no session had, of so many bytes.
func (d *dialler) kept(list []*parcel, bytes int) {
	sum := 0
	for _, p := range list {
		sum += p.body
		if !p.notify {
			d.sim.unsent += p.body
		}
	}
	if sum != bytes {
		d.sim.failf("%s: %d bytes that no session had are unsent, %d are reported", d, sum, bytes)
	}
}

// again notes that the client is about to try again, from now on or, if it is not known
// when, later.
func (d *dialler) again(exact bool) {
	d.retry = retry{since: d.sim.now, exact: exact, drift: d.sim.drift}
	d.retries = exact && d.connects == 0
}

// dials is told that the client dials, if nobody else has its address.
func (d *dialler) dials() {
	d.linedUp, d.retries = false, false
	if d.line != nil || d.last || d.over() {
		d.sim.failf("%s: dials, and is connected, or has ended", d)
	}
}

// dialled is told what has become of that.
func (d *dialler) dialled(err error) {
	auto := d.started || !d.openedAt.IsZero()
	d.again(err != nil && auto && !d.closed && !d.sim.ending)
}

// checkTime looks, while time passes, whether the client should have tried again.
func (d *dialler) checkTime() {
	s := d.sim
	if d.closed || s.ending {
		return
	}
	const grace = 10 * time.Millisecond
	late := s.now.Sub(d.retry.since) - (s.drift - d.retry.drift) - d.backoff.most(d.tries+1)
	if d.retries && d.retry.exact && late > grace {
		s.failf("%s: has not tried again for %v", d, s.now.Sub(d.retry.since))
	}
	if x := s.dialling; d.linedUp && d.connects == 0 && x.underway < x.total {
		s.failf("%s: does not dial, and %d of %d dials are under way", d, x.underway, x.total)
	}
}

// check is what must hold at the end.
func (d *dialler) check() {
	s := d.sim
	if !d.over() || d.line != nil {
		s.failf("%s: has not ended, or without OnDisconnect", d)
	}
	if err := d.client.Send([]byte("too late")); !errors.Is(err, session.ErrClosed) {
		s.failf("%s: Send after its end: %v", d, err)
	}
	d.ledger.check()
}
