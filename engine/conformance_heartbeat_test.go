package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// beating is a protocol with a heartbeat: lines, of which "ping" is answered with "pong".
// One is set for all of an engine's sessions, so each keeps when it asked in its value.
type beating struct {
	*probe
	pings, pongs *atomic.Int64
}

func newBeating(p *probe) beating { return beating{p, new(atomic.Int64), new(atomic.Int64)} }

func (b beating) OnPing(s *session.Session) {
	b.enter(s, "OnPing", func(l *life) string {
		if !l.open || l.closed {
			return "comes outside its life"
		}
		return ""
	})
	defer b.leave(s)
	b.pings.Add(1)
	s.SetValue(time.Now())
	_ = s.Send([]byte("ping")) // if not, it ends
}

func (b beating) OnMessage(s *session.Session, f session.Frame) {
	b.enter(s, "OnMessage", func(*life) string { return "" })
	defer b.leave(s)
	switch string(f.Bytes()) {
	case "ping":
		_ = s.Send([]byte("pong")) // likewise
	case "pong":
		b.pongs.Add(1)
		s.SetRTT(time.Since(s.Value().(time.Time)))
	}
}

// heartbeats has an engine talk to itself for many intervals without a word from the user,
// each end asking, and to a peer that does not answer.
func heartbeats(t *testing.T, s setting) {
	const interval, beats = 20 * time.Millisecond, 5
	server, client := newBeating(newProbe()), newBeating(newProbe())
	client.onOpen = func(s *session.Session) { // nobody is asked before it returns
		if rtt := s.Stats().RTT; rtt != 0 {
			t.Errorf("RTT is %v before anybody was asked", rtt)
		}
	}
	v := s.launch(t, engine.WithHeartbeat(interval, 100))
	v.listener = v.listen(s.network, session.Framed(server, frame.Lines()))
	ours, err := v.engine.Dial(context.Background(), s.network, v.listener.Addr().String(), session.Framed(client, frame.Lines()))
	must(t, err)
	theirs := await(t, "OnOpen", server.opened)
	// Either end's ping is a sign of life for the other, so one of them may do all of it.
	until(t, "many beats", func() bool { return client.pongs.Load()+server.pongs.Load() >= beats })
	if ours.State() != session.Open || theirs.State() != session.Open {
		t.Fatalf("states %v and %v", ours.State(), theirs.State())
	}
	rtt := max(ours.Stats().RTT, theirs.Stats().RTT)
	if rtt <= 0 || rtt > patience {
		t.Errorf("RTT is %v", rtt)
	}
	first, second := client.pings.Load(), server.pings.Load() // before Stats: the beats go on
	if n := v.engine.Stats().Pings; n < beats || n < uint64(first+second) {
		t.Errorf("Stats.Pings is %d; OnPing came %d and %d times", n, first, second)
	}
	must(t, ours.Abort())
	await(t, "OnClose", client.closed)
	await(t, "OnClose", server.closed)
}

// silentPeer is asked once, and closed after two intervals, not before.
func silentPeer(t *testing.T, s setting) {
	const interval = 30 * time.Millisecond
	b := newBeating(newProbe())
	v := s.launch(t, engine.WithHeartbeat(interval, 2))
	v.listener = v.listen(s.network, session.Framed(b, frame.Lines()))
	began := time.Now()
	c := v.dial()
	mustRead(t, c, "ping\n")
	if took := time.Since(began); took < interval {
		t.Errorf("asked after %v, want no less than %v", took, interval)
	}
	got := await(t, "OnClose", b.closed)
	if !errors.Is(got.reason, session.ReasonHeartbeat) || got.reason.Reason != session.ReasonHeartbeat {
		t.Errorf("closed because of %v", got.reason)
	}
	if took := time.Since(began); took < 2*interval {
		t.Errorf("closed after %v, want no less than %v", took, 2*interval)
	}
	if pings := b.pings.Load(); pings != 1 {
		t.Errorf("%d pings, want 1", pings)
	}
	until(t, "it is counted", func() bool { return v.engine.Stats().Closed["heartbeat"] == 1 })
}

// pinging adds a heartbeat that says something nobody answers.
type pinging struct{ *probe }

func (pinging) OnPing(s *session.Session) { _ = s.Send([]byte("?")) } // if not, it ends
