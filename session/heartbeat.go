package session

import (
	"time"

	"github.com/weirnet/weir/internal/transport"
)

// A heartbeat finds out whether a peer that says nothing is still there. The loop keeps
// the time and calls; what is said is the protocol's, which a handler knows:
//
//  1. nothing has come for an interval: OnPing is called, and sends something that the peer
//     answers
//  2. anything that comes starts the time again, whatever it is
//  3. nothing has come for several intervals: the session closes for ReasonHeartbeat
//
// Whoever gets the answer may tell the session how long it took, with SetRTT.

// Pinger is asked to make a silent peer say something.
type Pinger interface {
	// OnPing is called when nothing has been received for an interval of
	// engine.WithHeartbeat, and again after each further one. It sends whatever the
	// protocol has that makes the peer answer. It is not called while reading is paused,
	// after CloseWrite, or once the peer has sent FIN; the time stands still then, and also
	// while the session's handlers are too busy to let OnPing be called.
	OnPing(s *Session)
}

// SetRTT stores how long the peer took to answer a ping, or any other question, for Stats.
// The session itself cannot tell: only the protocol knows which message answers which.
func (s *Session) SetRTT(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more().rtt = d
}

// beats tells whether the session has a heartbeat now. The caller holds the lock.
func (s *Session) beats() bool {
	return s.incoming.Load().ping != nil && s.State() == Open &&
		s.flags&(finWanted|failed|peerDone) == 0 && (s.in == nil || s.in.end == nil && !s.in.finRead)
}

// Ping has OnPing called.
func (d Driver) Ping() transport.Status {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	if s.beats() {
		in := s.work()
		in.pingDue, in.pinging = true, true
	}
	return s.leaveLoop(shared)
}

// Pinging tells whether OnPing is still to be called, or has not returned.
func (d Driver) Pinging() bool {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.in != nil && d.s.in.pinging
}

// Silent ends the session because its peer says nothing, when everything received has been
// handled. What is queued is dropped: there is nobody to take it.
func (d Driver) Silent() transport.Status {
	s := d.s
	s.mu.Lock()
	shared := s.link.Shared()
	s.endAfterWork(ReasonHeartbeat, nil, aborted)
	return s.leaveLoop(shared)
}

// ping calls OnPing. The caller holds the lock, which is released meanwhile.
func (s *Session) ping(shared *transport.Shared, in *strand) {
	in.pingDue = false
	if h := s.incoming.Load().ping; h != nil && s.beats() {
		s.outside(func() { s.callPing(shared, h) })
	}
	in.pinging = false
}

func (s *Session) callPing(shared *transport.Shared, h Pinger) {
	returned := false
	defer s.recovered(shared, &returned)
	h.OnPing(s)
	returned = true
}
