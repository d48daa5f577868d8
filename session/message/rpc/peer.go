package rpc

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// Peer asks and answers over any number of sessions: it is their session.Handler, with
// Opener, Closer and Pinger. Its messages are frames, so it is given to an engine by way of
// session.Framed. A program that wants to be told of opening and closing, too, embeds a Peer
// and calls its methods from its own.
//
// Any goroutine may call the methods, except those that a session calls.
type Peer struct {
	options options
	began   time.Time

	mu       sync.Mutex                         // guards changes of handlers
	handlers atomic.Pointer[map[string]handler] // by type; a map never changes

	lines   sync.Map // *session.Session to *line
	roaming roaming
	calls   sync.Pool // of *call
	buffers sync.Pool // of *[]byte

	envelopes sync.Pool // of *message.Message, to encode with

	serving atomic.Int64 // requests that are being answered, of all sessions
	inside  atomic.Int64 // handlers and completions that run where those of sessions do
	counts  counts
}

// New makes a Peer. The error is an *OptionError.
func New(opts ...Option) (*Peer, error) {
	o, err := collect(opts)
	if err != nil {
		return nil, err
	}
	p := &Peer{options: o, began: time.Now()}
	p.handlers.Store(&map[string]handler{})
	p.roaming.init(p)
	return p, nil
}

// now is the time since the peer began, never 0.
func (p *Peer) now() time.Duration { return time.Since(p.began) + 1 }

// handler answers requests of a type.
type handler struct {
	answer func(*Request) (*message.Message, error)
	apart  bool // on a goroutine of its own
}

// Handle has h answer requests of a type; nil has nobody do it. Requests of types without
// a handler are answered by the default one, which is that of the type "", or with
// message.CodeUnsupported.
//
// H runs where the handlers of the request's session do, one after the other: it must not
// wait for long, and neither a cancel nor the next request is noticed before it returns.
// What it returns is the answer: a message, nil for an empty one, or an error, of which the
// peer gets code and text as message.ErrorOf has them. If it panics the code is
// message.CodeInternal; the engine logs the panic, and the session goes on. It may also
// call Later, and answer when it likes.
func (p *Peer) Handle(typ string, h func(*Request) (*message.Message, error)) {
	p.setHandler(typ, handler{answer: h})
}

// HandleApart is Handle for an h that takes its time: each request has a goroutine of its
// own. It may wait, also for calls over the same session, and its context is cancelled
// when the peer does not wait any longer. Answers wait for room in the session's output.
func (p *Peer) HandleApart(typ string, h func(*Request) (*message.Message, error)) {
	p.setHandler(typ, handler{answer: h, apart: true})
}

func (p *Peer) setHandler(typ string, h handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(*p.handlers.Load())
	if h.answer == nil {
		delete(next, typ)
	} else {
		next[typ] = h
	}
	p.handlers.Store(&next)
}

// handlerOf returns what answers requests of a type.
func (p *Peer) handlerOf(typ string) (handler, bool) {
	all := *p.handlers.Load()
	h, ok := all[typ]
	if !ok {
		h, ok = all[""]
	}
	return h, ok
}

// The parts of a session's Handler follow.

// OnOpen makes the session one of the peer's. Whoever gives a session to a peer with
// SetHandler calls it, too, and whoever takes one away from it calls OnClose.
func (p *Peer) OnOpen(s *session.Session) { p.lineOf(s).open() }

// OnMessage takes a message. One that cannot be read, or that must not come, ends the
// session; the cause is then a *message.FormatError or a *ProtocolError.
func (p *Peer) OnMessage(s *session.Session, f session.Frame) {
	l := p.lineOf(s)
	m := l.empty()
	if err := p.options.format.Parse(f.Bytes(), m); err != nil {
		endSession(s, err)
		return
	}
	switch m.Kind {
	case message.KindRequest:
		l.request(m)
	case message.KindReply, message.KindError:
		l.answered(m)
	case message.KindEvent:
		l.event(m)
	case message.KindCancel:
		l.cancelled(m.Correlation)
		l.keep(m)
	case message.KindPing:
		_ = l.send(m.Header.Swapped()) // if there is no room, the other end does not read
		l.keep(m)
	case message.KindPong:
		l.ponged(m)
		l.keep(m)
	}
}

// endSession ends a session because of what its peer has sent.
func endSession(s *session.Session, why error) {
	_ = s.CloseWith(protocolError{why}) // ErrClosed: it is ending, which is what was asked for
}

// protocolError has a session close for session.ReasonProtocolError.
type protocolError struct{ error }

func (e protocolError) Unwrap() []error { return []error{e.error, session.ReasonProtocolError} }

// OnPing asks whether the other end is there: a session calls it when nothing has come
// for a while.
func (p *Peer) OnPing(s *session.Session) { p.lineOf(s).heartbeat() }

// OnClose ends all calls over the session, and cancels the requests that came over it.
func (p *Peer) OnClose(s *session.Session, reason error) {
	if l, ok := p.lines.LoadAndDelete(s); ok {
		l.(*line).close(reason)
	}
	p.closeRoaming(s, reason)
}

// lineOf returns the line of a session, which is made if there is none.
func (p *Peer) lineOf(s *session.Session) *line {
	if l, ok := p.lines.Load(s); ok {
		return l.(*line)
	}
	l, _ := p.lines.LoadOrStore(s, newLine(p, s))
	return l.(*line)
}
