package rpc

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// A line is what a Peer has of a session: the calls that wait, and the requests that will
// be answered later.
type line struct {
	peer    *Peer
	session *session.Session
	table   table
	timer   *time.Timer // of the table; guarded by its lock

	asks   atomic.Bool  // there has been a call
	looped atomic.Bool  // handlers run on the loop, for all that is known
	inside atomic.Int32 // handlers and completions that run where the session's handlers do
	pinged atomic.Int64 // when the heartbeat's last ping was sent, since the peer began; 0: it is answered

	spare *message.Message // to parse into; nil: there is none. Where the handlers run

	mu      sync.Mutex // guards all below
	opened  bool
	watched func() bool // ends the watching of the session's context
	places  int         // of requests that are being answered
	serving map[uint64]*Responder
	over    error // why the session has ended
}

func newLine(p *Peer, s *session.Session) *line {
	l := &line{peer: p, session: s}
	l.looped.Store(true)
	l.table.init(p.options.inFlight, tagLine, func(at time.Duration) { l.timer = p.alarm(l.timer, at, l.expire) })
	return l
}

// open is told in OnOpen.
func (l *line) open() {
	l.looped.Store(l.session.OnLoop())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = true
	if l.watched != nil {
		l.watched()
	}
}

// lineTo returns the line of a session to send requests over.
func (p *Peer) lineTo(s *session.Session) (*line, error) {
	if l, ok := p.lines.Load(s); ok {
		return l.(*line), nil
	}
	switch s.State() {
	case session.Connecting:
		return nil, session.ErrNotConnected
	case session.Open:
	default:
		return nil, session.ErrClosed
	}
	l := p.lineOf(s)
	l.watch()
	return l, nil
}

// watch has the line closed with its session though OnOpen has not been called, and
// OnClose never may be: a session is open a moment before OnOpen, and its handler need
// not be the peer.
func (l *line) watch() {
	s := l.session
	stop := context.AfterFunc(s.Context(), func() { l.peer.OnClose(s, context.Cause(s.Context())) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened || l.watched != nil {
		stop()
		return
	}
	l.watched = stop
}

// close ends all that goes on over a session that has ended.
func (l *line) close(reason error) {
	e := ending{cause: reason, taken: math.MaxUint64}
	if c, ok := reason.(*session.CloseError); ok {
		e.taken = l.session.Stats().BytesOut + uint64(c.InWrite)
	}
	left := l.table.close(e)
	l.dropLater(reason)
	each(left, func(c *call) { l.end(c, nil, c.ended(&e)) })
}

// expire ends the calls whose deadlines have come. On a goroutine of its own.
func (l *line) expire() {
	l.peer.expire(&l.table, func(*call) route { return route{peer: l.peer, table: &l.table, line: l} })
}

// empty returns a message to parse into. Where the session's handlers run.
func (l *line) empty() *message.Message {
	m := l.spare
	l.spare = nil
	if m == nil {
		m = new(message.Message)
	}
	return m
}

// keep keeps a message that nobody else has, and that has not taken much memory. Its names
// may be a part of a frame that has.
func (l *line) keep(m *message.Message) {
	if m.Len() == 0 {
		m.Reset()
		l.spare = m
	}
}

// event takes a message that is no part of a call.
func (l *line) event(m *message.Message) {
	f := l.peer.options.events
	if f == nil {
		l.peer.counts.ignored.Add(1)
		l.keep(m)
		return
	}
	l.run(func() { f(l.session, m) })
}

// answered takes an answer to a call.
func (l *line) answered(m *message.Message) {
	if m.Kind == message.KindError && m.Correlation == 0 {
		l.event(m)
		return
	}
	c := l.take(m.Header, message.KindRequest)
	if c == nil {
		return
	}
	if err := m.Err(); err != nil {
		l.end(c, nil, &RemoteError{Type: c.typ, Err: err})
	} else {
		l.end(c, m, nil)
	}
}

// take takes out the call that a message answers; nil if nobody waits for it, or it
// answers something else, which ends the session.
func (l *line) take(answer message.Header, asked message.Kind) *call {
	id, other := answer.Correlation, false
	mine := func(c *call) bool {
		other = c.kind != asked
		return !other
	}
	var c *call
	if id&1 == tagLine {
		c = l.table.takeIf(id, mine)
	} else {
		c = l.peer.roaming.table.takeIf(id, func(c *call) bool {
			return (c.bound == l.session || c.home.Session() == l.session) && mine(c)
		})
	}
	switch {
	case other:
		endSession(l.session, &ProtocolError{Kind: answer.Kind, Correlation: id, Why: "that was asked something else"})
	case c == nil:
		l.peer.counts.late.Add(1)
	}
	return c
}

// end is Peer.end, for calls that end where the session's handlers run.
func (l *line) end(c *call, reply *message.Message, err error) {
	if c.done == nil {
		l.peer.end(c, reply, err)
		return
	}
	defer l.recovered()
	l.run(func() { l.peer.end(c, reply, err) })
}

// recovered tells of a panic in what the user has given, and has it go no further. To be
// deferred.
func (l *line) recovered() {
	if value := recover(); value != nil {
		l.panicked(value)
	}
}

// panicked tells the engine of a panic, which logs it, or ends the process if it is told
// to. If the session has ended or too much waits for its handlers, it is only counted.
func (l *line) panicked(value any) {
	l.peer.counts.panics.Add(1)
	told := &HandlerPanic{Value: value, Stack: debug.Stack()}
	_ = l.session.Post(func() { panic(told) })
}

// run calls f, what the user has given, so that a trace of the goroutine shows of which
// line.
//
//go:noinline
func (l *line) run(f func()) {
	l.inside.Add(1)
	l.peer.inside.Add(1)
	defer l.leave()
	f()
	runtime.KeepAlive(l) // so that l is where traces look for it
}

func (l *line) leave() {
	l.peer.inside.Add(-1)
	l.inside.Add(-1)
}

// runName is how traces name run.
const runName = "rpc.(*line).run"

// traceBytes has room for a trace, of which the runtime prints the innermost fifty calls
// and the outermost.
const traceBytes = 64 << 10

// needsCaller tells whether answers to calls over the line need the calling goroutine,
// which runs a handler or a completion of the peer's: for this session, or on a loop. It
// takes some microseconds, but only while any is run.
func (l *line) needsCaller() bool {
	if l.looped.Load() && l.peer.inside.Load() > 0 && l.session.OnLoop() {
		return true
	}
	if l.inside.Load() == 0 {
		return false
	}
	trace := make([]byte, traceBytes)
	trace = trace[:runtime.Stack(trace, false)]
	call := fmt.Appendf(nil, "%s(%p", runName, unsafe.Pointer(l))
	for {
		_, rest, found := bytes.Cut(trace, call)
		if !found {
			return false
		}
		if len(rest) > 0 && (rest[0] == ',' || rest[0] == ')') {
			return true
		}
		trace = rest
	}
}

// send sends a message that is an envelope only.
func (l *line) send(h message.Header) error {
	p := l.peer
	out := p.takeBuffer()
	defer p.returnBuffer(out)
	var err error
	if *out, err = p.encode(*out, h, nil, 0); err != nil {
		return err
	}
	return l.session.Send(*out)
}

// heartbeat sends a ping, unless the last one is not answered yet: another could not come
// before it.
func (l *line) heartbeat() {
	if !l.pinged.CompareAndSwap(0, int64(l.peer.now())) {
		return
	}
	if l.send(message.Header{Kind: message.KindPing, Correlation: heartbeatID}) != nil {
		l.pinged.Store(0)
	}
}

// heartbeatID is the id of a heartbeat's ping; calls have others.
const heartbeatID = 1

// ponged takes the answer to a ping.
func (l *line) ponged(m *message.Message) {
	now := l.peer.now()
	if m.Correlation == heartbeatID {
		if at := l.pinged.Swap(0); at != 0 {
			l.session.SetRTT(now - time.Duration(at))
		}
		return
	}
	if c := l.take(m.Header, message.KindPing); c != nil {
		c.trip = now - c.began
		l.session.SetRTT(c.trip)
		l.end(c, nil, nil)
	}
}
