package session

import (
	"slices"
	"sync/atomic"
	"time"
)

// A membership is one session's stay in one group, from Join to Leave or to the end
// of the session. Joining again makes another one.
type membership struct {
	session *Session
	branch  *branch

	// Guarded by the room's lock; the loop reads them when the stay has ended. Messages
	// are counted as the branch counts them.
	from    uint64 // messages before the stay
	until   uint64 // and at its end
	excepts int    // messages that were for the others only

	cut bool // another stay began with a snapshot: what was not given is out of date; guarded by the session's lock

	// The loop's.
	place  int32       // index in the branch's members; -1 before and after
	over   bool        // it gets no more
	after  *membership // an earlier stay on another branch, to be over before this one begins; nil: none
	passed int         // of the excepts, how many were passed over
	behind *backlog

	// Of OnLag; any goroutine.
	lags    atomic.Bool // whether it is behind
	telling atomic.Bool // somebody is to tell
	told    bool        // what was told last; on the strand only
}

const (
	// nowhere is the place of one that its branch does not have.
	nowhere = -1

	// leavingMax is how many stays of a session may be over without its loop knowing. Each
	// takes some 300 bytes until then.
	leavingMax = 4096
)

// extra is what few sessions have.
type extra struct {
	ctx     *sessionContext // of Context
	quota   quota           // where it is limited what peers send
	rtt     time.Duration   // of SetRTT
	groups  []*membership   // in the order of joining; guarded by the session's lock
	leaving []*membership   // those that are over, and not yet for the loop, in the order of leaving; likewise
	lagging []*membership   // those behind; the loop's
	lost    Lost            // for the attendant
	readsOn bool            // of KeepReading
}

// more returns what few sessions have. The caller holds the lock.
func (s *Session) more() *extra {
	if s.extra == nil {
		s.extra = &extra{}
	}
	return s.extra
}

// enrol adds m to the session's groups, unless it is ending, or comes and goes faster than
// its loop gets to know.
func (s *Session) enrol(m *membership) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.State() == Connecting:
		return ErrNotConnected
	case s.State() != Open || s.flags&departed != 0:
		return ErrClosed
	}
	x := s.more()
	if len(x.leaving) >= leavingMax {
		return ErrMailboxFull
	}
	x.groups = append(x.groups, m)
	for _, old := range slices.Backward(x.leaving) {
		if m.branch.stream.room.isOf(old) {
			if old.branch != m.branch {
				m.after = old
			}
			break
		}
	}
	return nil
}

// strike removes m from the session's groups. Those of a closed session stay, as
// what it was in at its end.
func (s *Session) strike(m *membership) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flags&departed != 0 {
		return
	}
	s.extra.groups = slices.DeleteFunc(s.extra.groups, func(other *membership) bool { return other == m })
	s.extra.leaving = append(s.extra.leaving, m)
}

// left forgets that m is leaving: its branch knows. On the loop.
func (s *Session) left(m *membership) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.extra
	if i := slices.Index(x.leaving, m); i >= 0 { // mostly the first
		x.leaving = slices.Delete(x.leaving, i, i+1)
	}
	if len(x.leaving) == 0 {
		x.leaving = nil
	}
}

// cutShort ends earlier stays in a room, or in the one of the same name before it, at
// once: what was published and not begun must not come behind a snapshot that has it.
func (s *Session) cutShort(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return
	}
	for _, m := range s.extra.leaving {
		if r.isOf(m) {
			m.cut = true
		}
	}
}

// depart takes the session out of its groups, for good. On the loop.
func (s *Session) depart() {
	s.mu.Lock()
	s.flags |= departed
	var groups []*membership
	if s.extra != nil {
		groups = s.extra.groups
	}
	s.mu.Unlock()
	for _, m := range groups {
		m.branch.stream.room.expel(m)
	}
}

// Groups returns the names of the groups that the session is in, in the order of
// joining; once it is closed, of those that it was in at its end. Keys of users are
// not among them.
func (s *Session) Groups() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return nil
	}
	var names []string
	for _, m := range s.extra.groups {
		if room := m.branch.stream.room; room.all.listed {
			names = append(names, room.name)
		}
	}
	return names
}

// tell has the group's OnLag told that the member has fallen behind, or caught up.
// What follows too fast is told as one. The caller holds the session's lock.
func (m *membership) tell(lags bool) {
	m.lags.Store(lags)
	s, room := m.session, m.branch.stream.room
	if room.config.OnLag == nil || s.link == nil || m.telling.Swap(true) {
		return
	}
	s.work().tasks.Put(func() {
		m.telling.Store(false)
		if lags := m.lags.Load(); lags != m.told {
			m.told = lags
			room.config.OnLag(room.all.Group(room.name), s, lags)
		}
	})
}
