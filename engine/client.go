package engine

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/session"
)

// Client keeps a session with one address: when it ends, or cannot be had, the client
// tries again, less often the longer that goes on, until Close. What is sent meanwhile
// waits for the next session. Neither while it is connected nor while it waits does it
// have a goroutine.
//
// Its functions are called in this order, one at a time and never while a handler of the
// session runs:
//
//	( OnReconnect… OnConnect OnDisconnect )… OnReconnect… OnDisconnect?
//
// OnConnect and OnDisconnect are called where the session's handlers run: after OnOpen
// and before the first message, and after OnClose. For each OnConnect there is one
// OnDisconnect. One more may come at the very end: if the client was closed, or its engine
// ended, while there was no session and messages waited; see DisconnectError.
//
// A message is sent at most once. It waits in the client, or a session has taken it, and
// then that one sends it or it is reported as unsent; no other session sends it again.
//
// All methods may be called from any goroutine, handlers and the client's functions
// included; Connect, which waits, must not be called there. To end the client's session for
// good, close the client: one that its user closes comes back.
type Client struct {
	// Set at creation.
	engine  *Engine
	target  target
	handler session.Handler
	framing *session.Behaviour // of the handler, to know its codec
	options clientOptions
	ended   chan struct{} // closed at the very end

	// What Send needs while all is well; nil: the lock must be asked.
	live atomic.Pointer[session.Session]

	mu      sync.Mutex
	phase   phase
	turn    uint64        // changes when the client comes into other hands
	auto    bool          // it tries again by itself
	closed  bool          // no more of all that
	why     error         // then: ErrClosed, or ErrStopped if the engine ended
	cancel  func() bool   // stops the timer of phase waiting; nil: it waits for a place to dial
	attempt *attempt      // the one under way, or whose session there is; else nil
	changed chan struct{} // closed when the phase changes; nil: nobody looks
	tries   int           // since a session was last good; see backoff
	err     error         // of the last attempt, or of the last session's end
	queue   keep
}

// A client is always in the hands of somebody, who alone calls its functions and has it
// go on. Who waits for his turn has remembered turn; if that has changed, the client is in
// other hands, or has ended.
//
//	         Start             his turn            Opened            Closed
//	resting ───────▶ waiting ───────────▶ busy ───────────▶ connected ───────▶ leaving
//	                    ▲                  │                                      │
//	                    └──────────────────┴──────────────────────────────────────┘
//	                              it failed, or OnDisconnect has returned
//
// Connect leads from resting and waiting to busy, and back if it fails. Close leads from
// each of them to ended: from resting and waiting at once, else when whoever has it in
// hand sees that it is closed.
type phase uint8

const (
	resting   phase = iota // in the user's hands
	waiting                // a timer's, or the connector's
	busy                   // those of a goroutine: it calls OnReconnect, dials, or brings it to its end
	connected              // a session's, from OnConnect on
	leaving                // the same, from OnDisconnect on
	ended                  // nobody's
)

// attempt is one try to connect, and the session that comes of it, whose attendant it is.
type attempt struct {
	client *Client
	cancel context.CancelFunc // of its context; nil once it is opened
	done   chan struct{}      // closed when it has failed, or OnConnect has returned

	// Guarded by the client's lock.
	settled bool // its outcome is known
	opened  bool // which is this
	givenUp bool // or this: nobody wants its session, which is to close
	err     error
	session *session.Session // since OnConnect, until OnDisconnect
	since   time.Time
}

// NewClient makes a client of an address, whose sessions' handler is h; it does nothing
// before Start or Connect. Network is tcp, tcp4, tcp6 or unix. The error is an
// *OptionError, or ErrStopped. A client must be closed; the engine's end closes it, too.
func (e *Engine) NewClient(network, address string, h session.Handler, opts ...ClientOption) (*Client, error) {
	c := &Client{
		engine: e, target: target{network, address}, handler: h, ended: make(chan struct{}),
		options: defaultClientOptions(),
	}
	for _, set := range opts {
		set(&c.options)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.framing = session.NewBehaviour(h)
	if err := e.clients.add(c); err != nil {
		return nil, err
	}
	return c, nil
}

// check looks for bad values.
func (c *Client) check() error {
	if c.handler == nil {
		return &OptionError{Option: "handler", Value: c.handler, Why: "must not be nil"}
	}
	switch c.target.network {
	case "tcp", "tcp4", "tcp6":
		if _, _, err := net.SplitHostPort(c.target.address); err != nil {
			return &OptionError{Option: "address", Value: c.target.address, Why: "must be a host and a port: " + err.Error()}
		}
	case "unix":
		if c.target.address == "" {
			return &OptionError{Option: "address", Value: `""`, Why: "must be the path of a socket"}
		}
	default:
		return &OptionError{Option: "network", Value: c.target.network, Why: "must be tcp, tcp4, tcp6 or unix"}
	}
	return c.options.err
}

// Session returns the present session, from OnConnect on; nil while there is none.
func (c *Client) Session() *session.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt == nil {
		return nil
	}
	return c.attempt.session
}

// Err returns why there is no session: the error of the last attempt, or the
// *DisconnectError that OnDisconnect got; nil if there is one, or has been no attempt.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done returns a channel that is closed when the client has ended: it is closed, its
// session is, and none of its functions runs or will be called.
func (c *Client) Done() <-chan struct{} { return c.ended }

// Start has the client connect, and does not wait: it tries until there is a session,
// and again whenever that has ended. The first attempt is made at once.
func (c *Client) Start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.auto = true
	if c.phase == resting && !c.closed {
		c.wait(0, c.lineUp)
	}
}

// Connect makes one attempt now, whatever the back-off says, and returns its error as
// Engine.Dial does. If there is a session it returns nil; if an attempt is under way it
// waits for that one. After a success the client comes back by itself, as after Start; if
// the attempt fails it goes on as before. OnReconnect is not told of it, and it does not
// count for the back-off.
//
// Connect returns nil when OnConnect has returned; if ctx ends while that runs, at once.
// The error is session.ErrClosed after Close, ErrStopped when the engine ends, and
// ErrDeadlock from a handler, or a function of the client, which it would wait for.
func (c *Client) Connect(ctx context.Context) error {
	if c.engine.onLoop() || c.engine.onWorker() || c.engine.clients.caller() == c {
		return ErrDeadlock
	}
	for {
		c.mu.Lock()
		switch a := c.attempt; {
		case c.closed:
			why := c.why
			c.mu.Unlock()
			return why
		case c.phase == resting, c.phase == waiting:
			c.seize()
			dialling, a := c.begin(ctx)
			c.mu.Unlock()
			c.dialInTurn(dialling, a)
			if err := c.engine.await(ctx, a.done); err != nil {
				a.giveUp(err)
			}
			return a.await(ctx)
		case a != nil && !a.givenUp:
			c.mu.Unlock()
			return a.await(ctx)
		}
		changed := c.watch()
		c.mu.Unlock()
		if err := c.engine.await(ctx, changed); err != nil {
			return err
		}
	}
}

// await waits until it is known what has become of the attempt.
func (a *attempt) await(ctx context.Context) error {
	_ = a.client.engine.await(ctx, a.done) // an error: the outcome may be known all the same
	a.client.mu.Lock()
	defer a.client.mu.Unlock()
	if !a.settled {
		return context.Cause(ctx)
	}
	return a.err
}

// Close ends the client. Its session, if there is one, is closed as by Session.Close:
// what it has queued is written. What waits in the client's queue is reported as unsent,
// to its completions and to OnDisconnect. Close returns at once; Done tells when all of
// that is over. A second call returns session.ErrClosed.
func (c *Client) Close() error {
	s, err := c.stop(session.ErrClosed)
	if s != nil {
		_ = s.Close() // ErrClosed: it is ending, which is what was asked for
	}
	return err
}

// stop has the client end, because of why, and returns the session that is left.
func (c *Client) stop(why error) (*session.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, session.ErrClosed
	}
	c.closed, c.why = true, why
	c.live.Store(nil)
	switch {
	case c.phase == resting, c.phase == waiting:
		c.seize()
		c.end()
	case c.phase == busy && c.attempt != nil:
		c.attempt.cancel()
	case c.phase == connected:
		return c.attempt.session, nil
	}
	return nil, nil // in the other phases somebody will notice
}
