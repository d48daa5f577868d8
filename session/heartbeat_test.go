package session_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// pinger adds the part to a handler.
type pinger struct {
	*parts
	ping func(*session.Session)
}

func (p *pinger) OnPing(s *session.Session) { p.ping(s) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestOpeningEndsBeforeOnOpen(t *testing.T) {
	var opening <-chan struct{}
	called := false
	r := newRig(t, &parts{open: func(s *session.Session) {
		called = true
		if !isClosed(opening) {
			t.Error("OnOpen is called, and whoever waits for Opening still does")
		}
	}})
	opening = r.driver.Opening()
	r.driver.Status()
	if isClosed(opening) || r.session.State() != session.Connecting {
		t.Errorf("told before it is open; state %v", r.session.State())
	}
	r.driver.Open()
	if reason, opened := r.driver.Ended(); !called || !opened || reason != nil {
		t.Errorf("OnOpen was called: %v; Ended: %v, %v", called, reason, opened)
	}
}

// Whether the session is closed before Open or instead of it, whoever waits is told.
func TestOpeningEndsWhenTheSessionDoes(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"before Open":  func(r *rig) { r.driver.Open() },
		"without Open": func(r *rig) { r.close() },
	} {
		r := newRig(t, &parts{})
		opening := r.driver.Opening()
		if err := r.session.Abort(); err != nil {
			t.Fatal(err)
		}
		end(r)
		reason, opened := r.driver.Ended()
		if !isClosed(opening) || opened || reason == nil || reason.Reason != session.ReasonAborted {
			t.Errorf("%s: told: %v; Ended: %v, %v", name, isClosed(opening), reason, opened)
		}
	}
}

// Beats is there exactly as long as asking the peer makes sense.
func TestStatusTellsOfHeartbeats(t *testing.T) {
	with := &pinger{parts: &parts{}, ping: func(*session.Session) {}}
	for _, c := range []struct {
		name string
		h    session.Handler
		act  func(*rig)
		want bool
	}{
		{"a handler without", &parts{}, func(*rig) {}, false},
		{"a handler with", with, func(*rig) {}, true},
		{"set later", &parts{}, func(r *rig) { r.session.SetHandler(with) }, true},
		{"taken away", with, func(r *rig) { r.session.SetHandler(&parts{}) }, false},
		{"after CloseWrite", with, func(r *rig) { _ = r.session.CloseWrite() }, false},
		{"after the peer's FIN", with, func(r *rig) { r.driver.PeerClosed() }, false},
		{"while draining", with, func(r *rig) { _ = r.session.Close() }, false},
	} {
		r := openRig(t, c.h, func(s *transport.Shared) { s.HalfOpen = true })
		c.act(r)
		if got := r.driver.Status()&transport.Beats != 0; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A handler that is set from anywhere has the loop look.
func TestSettingAPingerTellsTheLoop(t *testing.T) {
	r := openRig(t, &parts{})
	before := r.link.attends
	r.session.SetHandler(&pinger{parts: &parts{}, ping: func(*session.Session) {}})
	if r.link.attends == before {
		t.Error("the loop does not know")
	}
}

func TestPinging(t *testing.T) {
	var r *rig
	calls := 0
	h := &pinger{parts: &parts{}}
	h.ping = func(s *session.Session) {
		calls++
		if !r.driver.Pinging() {
			t.Error("not pinging while OnPing runs")
		}
		_ = s.Send([]byte("?"))
	}
	r = openRig(t, h, func(s *transport.Shared) { s.Pooled = true })
	for r.driver.Run(r.shared) {
	}
	if r.driver.Pinging() {
		t.Error("pinging before Ping")
	}
	if st := r.driver.Ping(); st&transport.Due == 0 || !r.driver.Pinging() || calls != 0 {
		t.Errorf("status %b, pinging: %v, %d calls", st, r.driver.Pinging(), calls)
	}
	for r.driver.Run(r.shared) {
	}
	if r.driver.Pinging() || calls != 1 || string(r.link.took) != "?" {
		t.Errorf("pinging: %v, %d calls, %q sent", r.driver.Pinging(), calls, r.link.took)
	}
	// The handler is gone before it could be called.
	r.driver.Ping()
	r.session.SetHandler(&parts{})
	for r.driver.Run(r.shared) {
	}
	if r.driver.Pinging() || calls != 1 {
		t.Errorf("pinging: %v, %d calls", r.driver.Pinging(), calls)
	}
}

func TestPanicInOnPing(t *testing.T) {
	boom := errors.New("boom")
	r := openRig(t, &pinger{parts: &parts{}, ping: func(*session.Session) { panic(boom) }})
	r.driver.Ping()
	if reason := r.close(); reason.Reason != session.ReasonHandlerPanic || !errors.Is(reason, boom) || len(r.panics) != 1 {
		t.Errorf("closed with %v, panics reported: %v", reason, r.panics)
	}
}

func TestSetRTT(t *testing.T) {
	r := openRig(t, &parts{})
	if got := r.session.Stats().RTT; got != 0 {
		t.Errorf("RTT is %v before anybody told", got)
	}
	for _, d := range []time.Duration{time.Millisecond, time.Second} {
		r.session.SetRTT(d)
		if got := r.session.Stats().RTT; got != d {
			t.Errorf("RTT is %v, want %v", got, d)
		}
	}
	r.close()
	r.session.SetRTT(time.Hour) // nobody minds
}

// OnPing ends its goroutine: the next session to use the strand is not taken for one whose
// OnPing is running, which would never be asked or given up.
func TestExitInOnPingLeavesNothingToOthers(t *testing.T) {
	r := openRig(t, &pinger{parts: &parts{}, ping: func(*session.Session) { runtime.Goexit() }})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.driver.Ping()
	}()
	<-ended
	r.close() // the strand is given back
	link := &fakeLink{shared: r.shared, refs: 1, options: map[sock.Option]int{}}
	next := session.New(8, link, testPeer, time.Unix(100, 0), session.NewBehaviour(&pinger{parts: &parts{}}))
	driver := session.Drive(next, transport.Key{})
	driver.Open()
	must(t, next.Post(func() {})) // takes a strand
	if driver.Pinging() {
		t.Error("its peer was never to be asked")
	}
	driver.Status()
	driver.Close()
}
