package rpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
)

// The way of a request:
//
//  1. line.request finds the handler of its type, and a place: so many requests may be
//     answered at the same time.
//  2. The handler runs, here or on a goroutine of its own.
//  3. Its answer is what it returns, or what a Responder sends later. A panic is one, too.
//  4. The first answer counts. With it the place is free again.

// Request is a request as its handler gets it.
type Request struct {
	// Message is what the peer asks.
	Message *message.Message

	responder Responder
	later     bool // Later was called
}

// Session is where it came from. Calls may be made over it, too.
func (r *Request) Session() *session.Session { return r.responder.line.session }

// Context is done when the answer is given, and when nobody waits for it any more: the peer
// has cancelled the request (the cause is ErrCancelled), its deadline has come, or the
// session has closed (the cause is the *session.CloseError). Handlers of Handle see
// no cancel before they return.
func (r *Request) Context() context.Context { return r.responder.Context() }

// Deadline is until when the peer waits; false if it has not said. How long the request
// was on its way is not taken into account.
func (r *Request) Deadline() (time.Time, bool) {
	return r.responder.deadline, !r.responder.deadline.IsZero()
}

// Later leaves the answer to whoever has the Responder: the handler returns nil, nil. If
// it returns a message or an error all the same, that is the answer unless there is one
// already.
func (r *Request) Later() *Responder {
	r.later = true
	r.responder.line.register(&r.responder) // if its id is used twice, the session ends
	return &r.responder
}

// Responder answers a request, from any goroutine. One that never does takes up a place
// until the session closes; see WithServing.
type Responder struct {
	line     *line
	asked    message.Header
	deadline time.Time
	apart    bool // its handler runs on a goroutine of its own; guarded by the line's lock

	mu         sync.Mutex // guards all below
	state      answerState
	registered bool  // the line knows it by its id
	quit       error // why nobody waits for the answer any more
	ctx        context.Context
	cancel     context.CancelCauseFunc
}

type answerState uint8

const (
	unanswered answerState = iota
	answering              // somebody is just trying
	answered
)

// Context is that of the Request.
func (a *Responder) Context() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx != nil {
		return a.ctx
	}
	a.ctx, a.cancel = context.WithCancelCause(a.line.session.Context())
	if !a.deadline.IsZero() {
		timed, stop := context.WithDeadline(a.ctx, a.deadline)
		cancel := a.cancel
		a.ctx, a.cancel = timed, func(cause error) { cancel(cause); stop() }
	}
	switch {
	case a.quit != nil:
		a.cancel(a.quit)
	case a.state == answered:
		a.cancel(nil)
	}
	return a.ctx
}

// Reply answers with a message. It returns ErrAnswered if there is an answer, or one is
// just being given; ErrCancelled if the peer does not wait any more; session.ErrClosed. With
// any other error, such as session.ErrBufferFull, the request is still to be answered.
func (a *Responder) Reply(m *message.Message) error { return a.reply(a.line.session.Send, m) }

// ReplyContext is Reply that waits for room in the session's output, as
// Session.SendContext does.
func (a *Responder) ReplyContext(ctx context.Context, m *message.Message) error {
	return a.reply(a.line.patiently(ctx), m)
}

// Fail answers with an error, of which the peer gets code and text. Otherwise it is like
// Reply.
func (a *Responder) Fail(err error) error { return a.fail(a.line.session.Send, err) }

// sending is a way to send: at once, or waiting for room.
type sending func(p []byte) error

// patiently waits for room.
func (l *line) patiently(ctx context.Context) sending {
	return func(p []byte) error { return l.session.SendContext(ctx, p) }
}

func (a *Responder) reply(send sending, m *message.Message) error {
	h := a.asked.Swapped()
	if m != nil {
		h = m.Header
		h.Kind, h.Correlation = message.KindReply, a.asked.Correlation
		if h.Type == "" {
			h.Type = a.asked.Type
		}
	}
	return a.answer(send, h, m)
}

func (a *Responder) fail(send sending, why error) error {
	m := failure(a.asked, why)
	return a.answer(send, m.Header, m)
}

// failure is the answer to a request that says why.
func failure(asked message.Header, why error) *message.Message {
	return (&message.Message{Header: asked}).Fail(why)
}

// answer sends m in the envelope h, if there is no answer yet.
func (a *Responder) answer(send sending, h message.Header, m *message.Message) error {
	if err := a.begin(); err != nil {
		return err
	}
	p := a.line.peer
	out := p.takeBuffer()
	defer p.returnBuffer(out)
	var err error
	if *out, err = p.encode(*out, h, m, 0); err == nil {
		err = send(*out)
	}
	a.finish(err)
	return err
}

// begin takes the right to answer.
func (a *Responder) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.state == answered && a.quit == session.ErrClosed:
		return session.ErrClosed
	case a.state != unanswered:
		return ErrAnswered
	case a.quit != nil:
		a.free()
		return a.quit
	}
	a.state = answering
	return nil
}

// finish gives the right back if the answer could not be sent and another one might.
func (a *Responder) finish(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.quit = nil
	}
	if err == nil || errors.Is(err, session.ErrClosed) || a.quit == session.ErrClosed {
		a.free()
		return
	}
	a.state = unanswered
}

// free ends the request: it has its answer, or needs none. The caller holds the lock.
func (a *Responder) free() {
	a.state = answered
	if a.cancel != nil {
		a.cancel(nil)
	}
	a.line.release(a)
}

// abandoned tells whether nobody waits for the answer any more.
func (a *Responder) abandoned() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ctx != nil && a.ctx.Err() != nil
}

// drop ends the request without an answer.
func (a *Responder) drop() {
	if a.begin() == nil {
		a.finish(nil)
	}
}

// lose ends a request whose session has ended. If somebody is just answering it, it ends
// with that.
func (a *Responder) lose(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == answered {
		return
	}
	if a.cancel != nil {
		a.cancel(why)
	}
	a.quit = session.ErrClosed
	if a.state == unanswered {
		a.free()
	}
}

// leave tells that nobody waits for the answer any more.
func (a *Responder) leave(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == answered || a.quit != nil {
		return
	}
	a.quit = why
	if a.cancel != nil {
		a.cancel(why)
	}
}

// request takes a request.
func (l *line) request(m *message.Message) {
	p := l.peer
	p.counts.requests.Add(1)
	if m.Correlation == 0 {
		endSession(l.session, &ProtocolError{Kind: m.Kind, Why: "it cannot be answered"})
		return
	}
	h, ok := p.handlerOf(m.Type)
	if !ok {
		l.refuse(m.Header, &message.Error{Code: message.CodeUnsupported, Text: "no handler for requests of this type"})
		return
	}
	left, err := timeout(m)
	if err != nil {
		l.refuse(m.Header, err)
		return
	}
	if err := l.reserve(); err != nil {
		l.refuse(m.Header, &message.Error{Code: message.CodeBusy, Text: err.Error()})
		return
	}
	r := &Request{Message: m, responder: Responder{line: l, asked: m.Header}}
	if left > 0 {
		r.responder.deadline = time.Now().Add(left)
	}
	if !h.apart {
		l.serve(h, r)
		return
	}
	r.responder.apart = true
	if l.register(&r.responder) {
		go l.serveApart(h, r)
	}
}

// reserve takes a place for a request that is to be answered.
func (l *line) reserve() error {
	p := l.peer
	l.mu.Lock()
	full := l.places >= p.options.serving
	if !full {
		l.places++
	}
	l.mu.Unlock()
	if full {
		return &LimitError{What: "requests being answered for a session", Limit: p.options.serving}
	}
	if p.serving.Add(1) > int64(p.options.servingTotal) {
		l.release(nil)
		return &LimitError{What: "requests being answered", Limit: p.options.servingTotal}
	}
	return nil
}

// release gives a place back.
func (l *line) release(a *Responder) {
	l.peer.serving.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places--
	if a != nil && a.registered {
		delete(l.serving, a.asked.Correlation)
	}
}

// register makes it known that a request will be answered later, so that the peer can
// cancel it. It reports false, and the session ends, if there is one with the same id.
func (l *line) register(a *Responder) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.registered || a.state == answered {
		return true
	}
	l.mu.Lock()
	_, used := l.serving[a.asked.Correlation]
	if !used {
		if l.serving == nil {
			l.serving = map[uint64]*Responder{}
		}
		l.serving[a.asked.Correlation] = a
		a.registered = true
	}
	l.mu.Unlock()
	if used {
		endSession(l.session, &ProtocolError{Kind: message.KindRequest, Correlation: a.asked.Correlation, Why: "so has one without an answer"})
		a.quit = session.ErrClosed
		a.free()
	}
	return !used
}

// cancelled takes a cancel.
func (l *line) cancelled(id uint64) {
	l.mu.Lock()
	a := l.serving[id]
	l.mu.Unlock()
	if a == nil {
		return // answered meanwhile
	}
	l.peer.counts.cancels.Add(1)
	a.leave(ErrCancelled)
}

// dropLater frees the places of requests that were left to Responders, since the session
// has ended. Handlers on goroutines of their own keep theirs until they return.
func (l *line) dropLater(reason error) {
	l.mu.Lock()
	l.over = reason
	var all []*Responder
	for _, a := range l.serving {
		if !a.apart {
			all = append(all, a)
		}
	}
	l.mu.Unlock()
	for _, a := range all {
		a.lose(reason)
	}
}

// leaveLater has the place of a request whose handler has returned, and left the answer to
// its Responder, end with the session.
func (l *line) leaveLater(a *Responder) {
	l.mu.Lock()
	a.apart = false
	over := l.over
	l.mu.Unlock()
	if over != nil {
		a.lose(over)
	}
}

// refuse answers a request that no handler gets.
func (l *line) refuse(asked message.Header, why error) {
	p := l.peer
	p.counts.refused.Add(1)
	m := failure(asked, why)
	out := p.takeBuffer()
	defer p.returnBuffer(out)
	var err error
	if *out, err = p.encode(*out, m.Header, m, 0); err == nil {
		err = l.session.Send(*out)
	}
	if !settled(err) {
		l.overflow(err)
	}
}

// serve runs a handler where those of the session run.
func (l *line) serve(h handler, r *Request) {
	returned := false
	defer func() {
		if !returned {
			l.crashed(l.session.Send, r, recover())
		}
	}()
	var reply *message.Message
	var err error
	l.run(func() { reply, err = h.answer(r) })
	returned = true
	l.conclude(l.session.Send, r, reply, err)
}

// serveApart runs a handler on a goroutine of its own. The answer waits for room.
func (l *line) serveApart(h handler, r *Request) {
	returned := false
	defer func() {
		if !returned {
			l.crashed(l.patiently(r.Context()), r, recover())
		}
	}()
	reply, err := h.answer(r)
	returned = true
	l.conclude(l.patiently(r.Context()), r, reply, err)
}

// crashed answers a request whose handler has panicked, or ended its goroutine.
func (l *line) crashed(send sending, r *Request, value any) {
	l.conclude(send, r, nil, &message.Error{Code: message.CodeInternal, Text: "the handler has panicked"})
	if value != nil {
		l.panicked(value)
	}
}

// conclude answers with what a handler has returned. If that cannot be sent the answer is
// why; if not even that can, the session ends, and the callers learn by that.
func (l *line) conclude(send sending, r *Request, reply *message.Message, why error) {
	a := &r.responder
	if r.later {
		defer l.leaveLater(a) // its Responder may have been answering, and fail
	}
	if r.later && reply == nil && why == nil {
		return
	}
	var err error
	if why != nil {
		err = a.fail(send, why)
	} else {
		err = a.reply(send, reply)
	}
	switch {
	case settled(err):
		return
	case a.abandoned():
		a.drop()
		return
	}
	if err = a.Fail(unsendable(err)); !settled(err) {
		l.overflow(err)
		_ = a.Fail(err) // ErrClosed: its place is free
	}
}

// settled tells whether a request whose answer was sent with this result needs no other.
func settled(err error) bool {
	return err == nil || errors.Is(err, ErrAnswered) || errors.Is(err, session.ErrClosed) || errors.Is(err, ErrCancelled)
}

// unsendable is the answer instead of one that could not be sent.
func unsendable(err error) error {
	code := message.CodeInternal
	tooLarge := (*frame.Error)(nil)
	if errors.As(err, &tooLarge) || errors.Is(err, session.ErrBufferFull) || errors.Is(err, message.ErrLimit) {
		code = message.CodeTooLarge
	}
	return &message.Error{Code: code, Text: "the answer cannot be sent: " + err.Error()}
}

// overflow ends a session whose peer cannot be told how a request ended.
func (l *line) overflow(why error) {
	_ = l.session.CloseWith(overflowError{why}) // ErrClosed: it is ending, which is what was asked for
}

// overflowError has a session close for session.ReasonOverLimit.
type overflowError struct{ error }

func (e overflowError) Unwrap() []error { return []error{e.error, session.ReasonOverLimit} }
