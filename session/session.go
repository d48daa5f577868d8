package session

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session/frame"
)

// Session is one end of an open connection. It is allocated once per connection
// and never used again for another, so a stale Session is harmless: its methods
// return ErrClosed. All methods may be called from any goroutine, handlers
// included, and none waits for the network.
type Session struct {
	// Identity: set at creation.
	id     uint64
	opened int64          // Unix time, nanoseconds
	remote netip.AddrPort // zero on unix sockets

	// What every message touches lies together, from here to the counters: an
	// engine with many sessions finds little of them in the processor's cache.
	incoming atomic.Pointer[Behaviour]
	state    atomic.Uint32 // a State; changed with the lock only

	mu    sync.Mutex // guards all below; never held during a write
	flags flags
	told  transport.Status // what the loop knows, or was asked to look at
	in    *strand          // nil while the handlers have nothing to do
	extra *extra           // nil while the session needs none of it

	// Write side: anybody appends to out, but only whoever set the writing flag
	// consumes; see send.go.
	link transport.Link  // nil once Closed; only the loop clears it
	out  *outbound       // nil while nothing is queued
	view *buffer.Segment // what the handler is being shown

	// Counters.
	bytesIn     uint64
	bytesOut    uint64
	messagesIn  uint64
	messagesOut uint64

	// Lifecycle.
	ended *CloseError // why, from the first cause on

	// The user's.
	value any
}

// flags are a session's small states, guarded by its lock.
type flags uint16

const (
	userPaused flags = 1 << iota // PauseRead
	highWater                    // output went above the high mark, and not below the low one since
	corked                       // handlers run: gather what they send
	writing                      // somebody holds the write side
	blocked                      // the kernel took no more; wait for Writable
	finWanted                    // send FIN when the queue is empty
	finSent
	peerDone  // the peer sent FIN, and the session stays open for writing
	aborted   // close with RST, drop what is queued
	failed    // a write failed
	wasOpened // OnOpen was called, so OnClose is due
	exposed   // the user has seen the descriptor's number
	scheduled // somebody is to run the strand
	toldHigh  // OnBackpressure was called last, of the two
	lagging   // messages of a group wait for room
	departed  // it has left its groups for good
)

type sessionContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// New makes the Session of a connection that is being set up. Only an engine
// can call it: nobody else has a Link.
func New(id uint64, link transport.Link, remote netip.AddrPort, opened time.Time, b *Behaviour) *Session {
	s := &Session{id: id, link: link, remote: remote, opened: opened.UnixNano()}
	s.incoming.Store(b)
	return s
}

// ID returns the session's number. It is never given to another session of the
// same engine; engine.Session finds a session by it.
func (s *Session) ID() uint64 { return s.id }

// State returns where the session is in its life. It may have moved on by the
// time the caller looks at the answer.
func (s *Session) State() State { return State(s.state.Load()) }

// RemoteAddr returns the peer's address: a *net.TCPAddr or *net.UnixAddr.
func (s *Session) RemoteAddr() net.Addr {
	if !s.remote.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(s.remote)
}

// LocalAddr returns our end's address, or nil once the session is closed.
func (s *Session) LocalAddr() net.Addr {
	link, err := s.use()
	if err != nil {
		return nil
	}
	defer link.Release()
	return link.LocalAddr()
}

// use returns the link with a count on it, which the caller must release.
func (s *Session) use() (transport.Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return nil, ErrClosed
	}
	s.link.Acquire()
	return s.link, nil
}

// SetHandler changes who is told of what comes next; h must not be nil. Inside
// OnMessage it acts from the next byte on. OnOpen is not called again. If h is Framed
// its codec is the session's from now on, else the codec stays. A net.Conn that was made
// of the session lets go of it (package session/netconn).
func (s *Session) SetHandler(h Handler) {
	s.mu.Lock()
	defer s.unlock()
	s.handleWith(h)
}

// handleWith is SetHandler. The caller holds the lock.
func (s *Session) handleWith(h Handler) {
	next := NewBehaviour(h)
	if _, ok := h.(framed); !ok {
		next.codec = s.codec()
	}
	next.attendant = s.incoming.Load().attendant
	s.behave(next)
}

// SetCodec changes how messages are framed, in both directions: inside OnMessage from
// the next byte on, else from somewhere in what comes. Nil, or frame.Raw(), ends framing.
// Groups go on with the codec that the session had when it joined.
func (s *Session) SetCodec(c frame.Codec) {
	s.mu.Lock()
	defer s.unlock()
	next := *s.incoming.Load()
	next.codec = cutting(c)
	s.behave(&next)
}

// behave changes handler and codec. The caller holds the lock.
func (s *Session) behave(b *Behaviour) {
	if t := s.tap(); t != nil && t != b.tap {
		t.shut()
	}
	s.incoming.Store(b)
	if s.in != nil {
		s.in.need, s.in.seen = 0, 0
	}
}

// Value returns what SetValue stored last, or nil.
func (s *Session) Value() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// SetValue stores anything with the session, for its handlers to find.
func (s *Session) SetValue(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = v
}

// Context returns a context that is cancelled when the session closes; its
// cause is then the *CloseError that OnClose gets. It is made at the first call.
func (s *Session) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.more()
	if x.ctx == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		x.ctx = &sessionContext{ctx, cancel}
		if s.State() == Closed {
			cancel(s.ended)
		}
	}
	return x.ctx
}

// Stats are a session's counters at one moment.
type Stats struct {
	Opened      time.Time
	BytesIn     uint64 // received and given to the handler
	BytesOut    uint64 // taken by the kernel
	MessagesIn  uint64
	MessagesOut uint64 // accepted by Send
	Queued      int    // bytes accepted and not yet taken by the kernel
	Unread      int    // bytes received and not yet given to the handler

	RTT time.Duration // of the last SetRTT; 0 if there was none
}

// Stats returns the session's counters.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Opened:      time.Unix(0, s.opened),
		BytesIn:     s.bytesIn,
		BytesOut:    s.bytesOut,
		MessagesIn:  s.messagesIn,
		MessagesOut: s.messagesOut,
		Queued:      s.queued(),
		Unread:      s.unread(),
	}
	if s.extra != nil {
		st.RTT = s.extra.rtt
	}
	return st
}

// PauseRead stops reading. Bytes that were read already may still come as one
// more message. The peer is slowed down when the kernel's buffers are full.
// While reading is paused the idle clock stands still.
func (s *Session) PauseRead() { s.setPaused(userPaused) }

// ResumeRead undoes PauseRead. Reading goes on unless output is above high water.
func (s *Session) ResumeRead() { s.setPaused(0) }

// KeepReading has messages read and handled although output is above high water, or no
// longer. It is for those who wait for answers: if both ends read nothing more until the
// other one has read, neither goes on. Who uses it must bound by other means what is sent
// because of a message. PauseRead still stops reading.
func (s *Session) KeepReading(on bool) {
	s.mu.Lock()
	s.more().readsOn = on
	s.unlock()
}

func (s *Session) setPaused(on flags) {
	s.mu.Lock()
	s.flags = s.flags&^userPaused | on
	s.unlock()
}

// Post runs task where the session's handlers run, never at the same time as
// one of them. It returns ErrMailboxFull, and task never runs, when too many
// tasks of the session wait; ErrClosed when the session is closed. A task that
// was taken runs before OnClose.
func (s *Session) Post(task func()) error {
	s.mu.Lock()
	defer s.unlock()
	if s.link == nil {
		return ErrClosed
	}
	if s.in != nil && s.in.tasks.Len() >= s.link.Shared().TaskLimit {
		return ErrMailboxFull
	}
	s.work().tasks.Put(task)
	return nil
}

// status sums up what the loop must know. The caller holds the lock.
func (s *Session) status() (st transport.Status) {
	lags := s.flags&lagging != 0
	waiting := s.queued() > 0 || lags
	if s.held() {
		st |= transport.Paused
	}
	if s.throttled() {
		st |= transport.Throttled
	}
	if s.in != nil && s.full() {
		st |= transport.Full
	}
	if waiting && s.flags&blocked != 0 {
		st |= transport.Blocked
	}
	if waiting && s.flags&(blocked|writing|failed) == 0 && (lags || s.flags&corked == 0) {
		st |= transport.Pending
	}
	if s.State() == Draining {
		st |= transport.Draining
	}
	if s.flags&finSent != 0 {
		st |= transport.Drained
	}
	if s.flags&aborted != 0 {
		st |= transport.Aborted
	}
	if s.flags&failed != 0 {
		st |= transport.Failed
	}
	if s.flags&exposed != 0 {
		st |= transport.Exposed
	}
	if s.due() {
		st |= transport.Due
	}
	if s.beats() {
		st |= transport.Beats
	}
	return st
}

// paused tells whether messages are to wait.
func (s *Session) paused() bool {
	return s.held() || s.throttled() && s.extra.quota.showAt != 0
}

// held tells whether they are to wait for the user, or for output to leave. When
// nothing can be written any more, what is left is handled all the same. Whoever has a
// tap waits himself before he writes more, and reads meanwhile.
func (s *Session) held() bool {
	switch {
	case s.flags&failed != 0:
		return false
	case s.flags&userPaused != 0:
		return true
	}
	return s.flags&highWater != 0 && (s.extra == nil || !s.extra.readsOn) && s.tap() == nil
}

func (s *Session) unread() int {
	if s.in == nil {
		return 0
	}
	return s.in.unread.Len()
}

// full tells whether the strand has enough to do before more is read.
func (s *Session) full() bool {
	return s.in.end != nil || s.in.unread.Len() > max(s.in.shared.UnreadLimit, s.in.need)
}

// unlock releases the lock, after it told the loop what has changed.
func (s *Session) unlock() {
	s.tell()
	s.mu.Unlock()
}

// tell asks the loop to look if the status is no longer what the loop was told
// last. What was told is remembered in the session, not by each caller: the loop
// may have looked while the caller was in the kernel. While the loop itself runs
// handlers it looks anyway.
func (s *Session) tell() {
	if s.link == nil || s.flags&corked != 0 && !s.link.Shared().Pooled {
		return
	}
	if st := s.status(); st != s.told {
		s.told = st
		s.link.Attend()
	}
}
