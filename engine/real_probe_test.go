package engine_test

import (
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// probe is a Handler that echoes, tells the test of every call, and keeps book:
// for each session OnOpen comes once, first, and with an address; OnClose comes
// once and last; calls never overlap. The functions may replace what it does.
type probe struct {
	onOpen      func(*session.Session)
	onMessage   func(*session.Session, session.Frame)
	onClose     func(*session.Session, *session.CloseError)
	onPeerClose func(*session.Session) // makes it a session.PeerCloser

	opened chan *session.Session
	closed chan ending

	mu       sync.Mutex
	lives    map[uint64]*life
	mistakes []string
	reasons  map[string]uint64
}

// ending is a call of OnClose.
type ending struct {
	session *session.Session
	reason  *session.CloseError
}

// life is what has happened to a session.
type life struct {
	open, closed bool
	busy         bool // a call is under way
}

// newProbe has room for as many events as any test makes.
func newProbe() *probe {
	return &probe{
		opened: make(chan *session.Session, 1<<15), closed: make(chan ending, 1<<15),
		lives: make(map[uint64]*life), reasons: make(map[string]uint64),
		onOpen:    func(*session.Session) {},
		onMessage: func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) },
		onClose:   func(*session.Session, *session.CloseError) {},
	}
}

// handler is p with the parts that it has.
func (p *probe) handler() session.Handler {
	if p.onPeerClose != nil {
		return peerCloser{p}
	}
	return p
}

func (p *probe) OnOpen(s *session.Session) {
	p.enter(s, "OnOpen", func(l *life) string {
		if l.open {
			return "comes twice"
		}
		l.open = true
		return ""
	})
	defer p.leave(s)
	if a, ok := s.RemoteAddr().(*net.TCPAddr); ok && a.Port == 0 {
		p.mistake(s, "OnOpen", "has no remote address")
	}
	p.opened <- s
	p.onOpen(s)
}

func (p *probe) OnMessage(s *session.Session, f session.Frame) {
	p.enter(s, "OnMessage", func(l *life) string {
		switch {
		case !l.open:
			return "comes before OnOpen"
		case l.closed:
			return "comes after OnClose"
		case f.Len() == 0:
			return "comes without bytes"
		}
		return ""
	})
	defer p.leave(s)
	p.onMessage(s, f)
}

func (p *probe) OnClose(s *session.Session, reason error) {
	why, _ := reason.(*session.CloseError)
	p.enter(s, "OnClose", func(l *life) string {
		switch {
		case !l.open:
			return "comes before OnOpen"
		case l.closed:
			return "comes twice"
		case why == nil:
			return "has a reason that is no CloseError"
		}
		l.closed = true
		p.reasons[why.Reason.String()]++
		return ""
	})
	defer p.leave(s)
	p.onClose(s, why)
	p.closed <- ending{s, why}
}

// peerCloser adds the optional part.
type peerCloser struct{ *probe }

func (p peerCloser) OnPeerClose(s *session.Session) {
	p.enter(s, "OnPeerClose", func(*life) string { return "" })
	defer p.leave(s)
	p.onPeerClose(s)
}

// enter checks that a call may come now.
func (p *probe) enter(s *session.Session, call string, check func(*life) string) {
	p.mu.Lock()
	l := p.lives[s.ID()]
	if l == nil {
		l = new(life)
		p.lives[s.ID()] = l
	}
	wrong := check(l)
	if l.busy {
		wrong = "overlaps another call"
	}
	l.busy = true
	p.mu.Unlock()
	if wrong != "" {
		p.mistake(s, call, wrong)
	}
}

func (p *probe) leave(s *session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lives[s.ID()].busy = false
}

func (p *probe) mistake(s *session.Session, call, wrong string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mistakes = append(p.mistakes, call+" of a session "+wrong)
}

// mustAddUp compares the book with the engine's, when all is over.
func (p *probe) mustAddUp(t testing.TB, st engine.Stats) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mistakes {
		t.Error(m)
	}
	for id, l := range p.lives {
		if !l.closed {
			t.Errorf("session %#x: OnClose never came", id)
		}
	}
	if st.Opened != uint64(len(p.lives)) {
		t.Errorf("Stats.Opened is %d, OnOpen came %d times", st.Opened, len(p.lives))
	}
	for reason, n := range st.Closed {
		if n != p.reasons[reason] {
			t.Errorf("Stats.Closed[%s] is %d, OnClose came %d times for it", reason, n, p.reasons[reason])
		}
	}
}

// awaitClose wants a session to end for this reason next.
func (v *server) awaitClose(want session.Reason) *session.CloseError {
	v.t.Helper()
	got := await(v.t, "OnClose", v.probe.closed)
	if !errors.Is(got.reason, want) || got.reason.Reason != want {
		v.t.Fatalf("closed because of %v, want %v", got.reason, want)
	}
	return got.reason
}
