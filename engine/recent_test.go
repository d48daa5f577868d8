package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirnet/weir/session"
)

func TestRecentlyClosedTellsWhatASessionDid(t *testing.T) {
	w := &watcher{message: func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }}
	st := newStage(t)
	if got := st.engine.RecentlyClosed(); len(got) != 0 {
		t.Errorf("before any close: %v", got)
	}
	c := st.connect(w)
	opened := st.clock.Now()
	st.sends(c, "twelve bytes")
	st.loop.turn()
	st.sockets.of(c).room = 0
	st.clock.set(opened.Add(time.Minute))
	st.sends(c, "unsent")
	st.loop.turn()
	s := c.session.Load()
	_ = s.CloseWith(errors.New("rude"))
	st.sends(c, "ignored")
	st.loop.turn()
	_ = s.Abort()
	st.loop.turn()
	got := st.engine.RecentlyClosed()
	want := Closing{
		ID: s.ID(), Remote: s.RemoteAddr(), Opened: opened, Closed: opened.Add(time.Minute),
		Reason: session.ReasonLocalClose, Cause: "rude",
		BytesIn: 18, BytesOut: 12, MessagesIn: 2, MessagesOut: 2, Unsent: 6, Unhandled: 7,
	}
	if len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	if !got[0].Opened.Equal(want.Opened) || !got[0].Closed.Equal(want.Closed) || got[0].Remote.String() != want.Remote.String() {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
	got[0].Opened, got[0].Closed, got[0].Remote = want.Opened, want.Closed, want.Remote
	if got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

// The last one comes first, and no more are kept than asked for.
func TestRecentlyClosedIsBounded(t *testing.T) {
	for _, most := range []int{0, 1, 3, 256} {
		st := newStage(t, WithRecentlyClosed(most))
		var ids []uint64
		for i := range 5 {
			c := st.connect(silent)
			s := c.session.Load()
			ids = append(ids, s.ID())
			_ = s.CloseWith(fmt.Errorf("number %d", i))
			_ = s.Abort()
			st.loop.turn()
			got := st.engine.RecentlyClosed()
			if len(got) != min(most, i+1) {
				t.Fatalf("%d are kept after %d closes, of %d", len(got), i+1, most)
			}
			for j, c := range got {
				if c.ID != ids[i-j] || c.Cause != fmt.Sprintf("number %d", i-j) {
					t.Errorf("of %d, number %d is %+v", most, j, c)
				}
			}
		}
	}
}

func TestCauseText(t *testing.T) {
	long := strings.Repeat("ö", 1<<20)
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{session.ReasonIdle, ""},
		{fmt.Errorf("quiet: %w", session.ReasonIdle), "quiet: session: idle"},
		{syscall.ECONNRESET, syscall.ECONNRESET.Error()},
		{errors.New(long), long[:causeMax]},
		{errors.New("x" + long), "x" + long[:causeMax-2] + "\ufffd"},
		{errors.New("bad \xff byte"), "bad \ufffd byte"},
	} {
		if got := causeText(c.err); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%.30v: %q, want %q", c.err, got, c.want)
		}
	}
	var broken *net.OpError
	if got := causeText(brokenError{broken}); got == "" {
		t.Error("nothing is said about an error that panics")
	}
}

func TestUnixPeersAreRemembered(t *testing.T) {
	st := newStage(t)
	c := st.connectAs(silent, connection{local: true})
	_ = c.session.Load().Abort()
	st.loop.turn()
	if got := st.engine.RecentlyClosed(); len(got) != 1 || got[0].Remote.Network() != "unix" {
		t.Errorf("got %v", got)
	}
}

func BenchmarkRemember(b *testing.B) {
	e := &Engine{}
	e.recent.ring = make([]closing, recentDefault)
	l := &loop{engine: e}
	peer, why := netip.MustParseAddrPort("192.0.2.1:1"), &session.CloseError{Reason: session.ReasonPeerReset, Err: syscall.ECONNRESET}
	b.ReportAllocs()
	for i := range b.N {
		l.remember(peer, uint64(i), session.Stats{}, why)
	}
}
