package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

func TestGroupSendReachesAllMembers(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 3)
	g := h.groups.Group("all")
	members := h.join(g, 10)
	for _, line := range lines(0, 20) {
		must(t, g.Send([]byte(line)))
	}
	h.run()
	for _, m := range members {
		h.wantTook(m, join(lines(0, 20)))
		if n := m.writes(); n != 1 {
			t.Errorf("%d writes, want one for all that came", n)
		}
	}
	wantStats(t, g.Stats(), session.GroupStats{Members: 10, Published: 20, Delivered: 200})
}

// Each member gets its own framing, from one publish.
func TestGroupFramesForEachCodec(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("mixed")
	raw := h.enter(nil)
	lines := h.enter(session.Framed(&parts{}, frame.Lines()))
	prefixed := h.enter(session.Framed(&parts{}, frame.Default()))
	for _, m := range []*member{raw, lines, prefixed} {
		must(t, g.Join(m.session))
	}
	h.publish(g, "one", "", "three")
	h.wantTook(raw, "onethree")
	h.wantTook(lines, "one\n\nthree\n")
	h.wantTook(prefixed, "\x00\x00\x00\x03one\x00\x00\x00\x00\x00\x00\x00\x05three")

	// What one codec cannot frame nobody gets.
	err := g.Send([]byte("a\nb"))
	if !errors.Is(err, frame.ErrDelimiter) {
		t.Errorf("Send of a line break: %v, want %v", err, frame.ErrDelimiter)
	}
	h.run()
	h.wantTook(raw, "onethree")
	if n := g.Stats().Published; n != 3 {
		t.Errorf("%d published, want 3", n)
	}
	must(t, g.Leave(lines.session))
	h.publish(g, "a\nb")
	h.wantTook(raw, "onethreea\nb")
}

func TestGroupJoinAndLeaveAreInOrder(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	h.join(g, 1)
	m := h.enter(nil)
	send := func(text string) { must(t, g.Send([]byte(text))) }
	send("before")
	must(t, g.Join(m.session))
	must(t, g.Join(m.session)) // does nothing
	send("in ")
	must(t, g.Leave(m.session))
	send("between")
	wantError(t, "Leave of one who has left", g.Leave(m.session), session.ErrNotMember)
	must(t, g.Join(m.session))
	send("again")
	h.run()
	h.wantTook(m, "in again")
	if !g.Has(m.session) {
		t.Error("Has says no")
	}
}

func TestSendExceptLeavesOneOut(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	members := h.join(g, 3)
	stranger := h.enter(nil)
	must(t, g.SendExcept(members[1].session, []byte("a")))
	must(t, g.Send([]byte("b")))
	must(t, g.SendExcept(members[1].session, []byte("c")))
	must(t, g.SendExcept(stranger.session, []byte("d")))
	h.run()
	h.wantTook(members[0], "abcd")
	h.wantTook(members[1], "bd")
	h.wantTook(members[2], "abcd")
	wantStats(t, g.Stats(), session.GroupStats{Members: 3, Published: 4, Delivered: 10})
}

// Who gets nothing of a batch is not written to.
func TestSendExceptWritesNothingToTheOne(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	members := h.join(g, 2)
	for range 5 {
		must(t, g.SendExcept(members[0].session, []byte("x")))
		h.run()
	}
	if n := members[0].writes(); n != 0 {
		t.Errorf("%d writes to the one who is left out", n)
	}
}

func TestExpiredMessagesAreLeftOut(t *testing.T) {
	h := newHall(t, session.GroupConfig{Slow: session.DropOldest}, 1)
	g := h.groups.Group("g")
	members := h.join(g, 3)
	members[2].stick(0)
	publish := func(text string, ttl time.Duration, except *session.Session) {
		must(t, g.Publish(session.Notice{Bytes: []byte(text), TTL: ttl, Except: except}))
	}
	publish("a", 0, nil)
	publish("b", 10, members[0].session) // expires on the way, for two
	publish("c", 20, nil)
	h.now = 10
	h.run()
	h.wantTook(members[0], "ac")
	h.wantTook(members[1], "ac")
	publish("d", 5, nil)
	publish("e", 0, nil)
	h.run()
	h.wantTook(members[1], "acde")
	wantStats(t, g.Stats(), session.GroupStats{Members: 3, Published: 5, Delivered: 8, Queued: 4, Expired: 2})
	h.now = 15 // d expires behind a and c, which do not
	members[2].thaw()
	h.wantTook(members[2], "ace")
	wantStats(t, g.Stats(), session.GroupStats{Members: 3, Published: 5, Delivered: 11, Expired: 3})
}

// A message that expires while a loop is giving it, some members a turn, is given to nobody
// else. Who is the exception of one that expires is not counted.
func TestExpiredBetweenTurnsIsLeftOut(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	members := h.join(g, 300)
	publish := func(text string, ttl time.Duration, except *session.Session) {
		must(t, g.Publish(session.Notice{Bytes: []byte(text), TTL: ttl, Except: except}))
	}
	publish("a", 0, nil)
	publish("b", 10, members[299].session)
	publish("c", 20, nil)
	h.errands[0].RunAll() // a turn
	h.now = 10            // a handler takes long
	h.run()
	given := 0
	for i, m := range members {
		want := "abc"
		if string(m.took) != want {
			want = "ac"
		} else {
			given++
		}
		if h.wantTook(m, want); i == 299 && want != "ac" {
			t.Error("the exception got it")
		}
	}
	if given != 128 {
		t.Errorf("%d members were given it in time", given)
	}
	wantStats(t, g.Stats(), session.GroupStats{Members: 300, Published: 3, Delivered: 128*3 + 172*2, Expired: 171})
	for _, m := range members {
		m.close() // nothing is counted as unsent
	}
	h.run()
	if st := g.Stats(); st.Unsent != 0 {
		t.Errorf("%d unsent", st.Unsent)
	}
}

// What is published and not yet handed over when a session closes is counted as unsent;
// but not what expires or was not for it.
func TestUnsentCountsWhatWasOnTheWay(t *testing.T) {
	for name, end := range map[string]func(*session.Group, *member){
		"close":             func(_ *session.Group, m *member) { m.close() },
		"leave, then close": func(g *session.Group, m *member) { _ = g.Leave(m.session); m.close() },
		"abort":             func(_ *session.Group, m *member) { _ = m.session.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t, session.GroupConfig{}, 1)
			g := h.groups.Group("g")
			members := h.join(g, 2)
			h.publish(g, "given")
			must(t, g.Send([]byte("a")))
			must(t, g.SendExcept(members[0].session, []byte("b")))
			must(t, g.Send([]byte("c")))
			end(g, members[0])
			h.run()
			h.wantTook(members[0], "given")
			h.wantTook(members[1], "givenabc")
			st := g.Stats()
			st.Members = 0
			wantStats(t, st, session.GroupStats{Published: 4, Delivered: 1 + 4, Unsent: 2})
		})
	}
}

// Messages that handlers publish together go out together, when they have returned.
func TestGroupMessagesGatherInHandlers(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 2)
	g := h.groups.Group("g")
	members := h.join(g, 4)
	h.shared.Cork.Gather()
	for _, line := range lines(0, 10) {
		must(t, g.Send([]byte(line)))
	}
	if !h.errands[0].Empty() || !h.errands[1].Empty() {
		t.Error("loops were told before the handler returned")
	}
	h.shared.Cork.Release()
	h.run()
	for _, m := range members {
		h.wantTook(m, join(lines(0, 10)))
		if n := m.writes(); n != 1 {
			t.Errorf("%d writes", n)
		}
	}
}

// Who leaves the last one and joins again is in a new group of the same name, whose
// messages come later.
func TestRejoinOfAnEmptyGroupKeepsOrder(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	h.shared.Cork.Gather()
	must(t, g.Send([]byte("old ")))
	must(t, g.Leave(m.session))
	must(t, g.Join(m.session))
	must(t, g.Send([]byte("new")))
	h.shared.Cork.Release()
	h.run()
	h.wantTook(m, "old new")
	wantStats(t, g.Stats(), session.GroupStats{Members: 1, Published: 1, Delivered: 1})
}

// TestNobodyJoinsAGroupThatIsConfiguredWrongly: the error names what is wrong, and no group
// begins.
func TestNobodyJoinsAGroupThatIsConfiguredWrongly(t *testing.T) {
	for _, c := range []struct {
		config session.GroupConfig
		want   string
	}{
		{session.GroupConfig{QueueBytes: -1}, `session: configuration of "g": QueueBytes is -1, must not be negative`},
		{session.GroupConfig{Slow: session.Conflate + 1}, `session: configuration of "g": policy Slow is 4, must be one of those there are`},
	} {
		h := newHall(t, c.config, 1)
		m := h.enter(nil)
		err := h.groups.Group("g").JoinAfter(m.session, func() error {
			t.Error("a snapshot is taken")
			return nil
		})
		if !errors.Is(err, session.ErrGroupConfig) || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
		if _, groups := h.groups.Stats(); groups != 0 {
			t.Errorf("%d groups, want none", groups)
		}
	}
}

func TestJoinAfterSnapshot(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	h.join(g, 1)
	m := h.enter(nil)
	must(t, g.Send([]byte("before")))
	must(t, g.JoinAfter(m.session, func() error {
		m.stick(3) // the group's messages must wait behind the rest
		return m.session.Send([]byte("snapshot "))
	}))
	must(t, g.Send([]byte("after")))
	h.run()
	m.thaw()
	h.wantTook(m, "snapshot after")

	refused := errors.New("refused")
	other := h.enter(nil)
	wantError(t, "JoinAfter", g.JoinAfter(other.session, func() error { return refused }), refused)
	if g.Has(other.session) {
		t.Error("joined in spite of an error")
	}
	wantError(t, "JoinAfter of an empty group", h.groups.Group("none").JoinAfter(other.session, func() error { return refused }), refused)
	if _, groups := h.groups.Stats(); groups != 1 {
		t.Errorf("%d groups, want 1", groups)
	}
}

// Who leaves and joins again with a snapshot gets nothing behind it that the snapshot has:
// not what was on the way, and not what waited.
func TestSnapshotEndsAnEarlierStay(t *testing.T) {
	for _, alone := range []bool{false, true} { // then it is another room of the same name
		h := newHall(t, session.GroupConfig{}, 1)
		g := h.groups.Group("g")
		m := h.join(g, 1)[0]
		if !alone {
			h.join(g, 1)
		}
		resync := func(text string) {
			must(t, g.Leave(m.session))
			must(t, g.JoinAfter(m.session, func() error { return m.session.Send([]byte(text)) }))
		}
		must(t, g.Send([]byte("on the way ")))
		resync("first ")
		h.publish(g, "a ")
		h.wantTook(m, "first a ")
		m.stick(3)
		h.publish(g, "begun ", "waits ")
		resync("second ")
		m.driver.Writable()
		must(t, g.Send([]byte("b ")))
		h.run()
		m.thaw()
		h.wantTook(m, "first a begun second b ")
		m.during = func() { // while it is being written
			m.during = nil
			resync("third ")
		}
		m.script = []answer{{n: 2}}
		must(t, g.Send([]byte("c ")))
		must(t, g.Send([]byte("d ")))
		h.run()
		m.thaw()
		h.publish(g, "e ")
		h.wantTook(m, "first a begun second b c third e ")
		if st := statsOf(h); st.Unsent != 3 || st.Queued != 0 {
			t.Errorf("counted %+v", st)
		}
		m.during = func() { // as a plain Join does not
			m.during = nil
			must(t, g.Leave(m.session))
			must(t, g.Join(m.session))
		}
		m.script = []answer{{n: 2}}
		must(t, g.Send([]byte("f ")))
		must(t, g.Send([]byte("g ")))
		h.run()
		m.thaw()
		if got := m.taken(); !strings.HasSuffix(got, "e f ") && !strings.HasSuffix(got, "e f g ") {
			t.Errorf("the kernel took %q", got)
		}
	}
}

func TestGroupIsGoneWhenEmpty(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 2)
	g, other := h.groups.Group("g"), h.groups.Group("g")
	members := h.join(g, 3)
	must(t, h.groups.Group("a").Join(members[0].session))
	names := func() (all []string) {
		for g := range h.groups.Each {
			all = append(all, g.Name())
		}
		return all
	}
	if got := names(); !slices.Equal(got, []string{"a", "g"}) {
		t.Errorf("groups %v", got)
	}
	if got := members[0].session.Groups(); !slices.Equal(got, []string{"g", "a"}) {
		t.Errorf("the session is in %v", got)
	}
	var seen []*session.Session
	for s := range g.Members {
		seen = append(seen, s)
	}
	if len(seen) != 3 || seen[0] != members[0].session || seen[2] != members[2].session {
		t.Errorf("members %v, want three, the oldest first", seen)
	}
	h.publish(g, "x")
	must(t, g.Leave(members[0].session))
	members[1].close()
	must(t, other.Leave(members[2].session))
	h.run()
	if got := names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("groups %v", got)
	}
	wantStats(t, g.Stats(), session.GroupStats{})
	must(t, g.Send([]byte("nobody")))
	must(t, other.Join(members[2].session))
	h.publish(g, "y")
	wantStats(t, g.Stats(), session.GroupStats{Members: 1, Published: 1, Delivered: 1})
	if got := members[1].session.Groups(); !slices.Equal(got, []string{"g"}) {
		t.Errorf("at its end the session was in %v", got)
	}
	wantError(t, "Join of a closed session", g.Join(members[1].session), session.ErrClosed)
}

func TestKickClosesAllMembers(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	members := h.join(g, 3)
	must(t, members[1].session.Close())
	if n := g.Kick(session.ReasonOverLimit); n != 2 {
		t.Errorf("%d closed, want 2", n)
	}
	for _, m := range members {
		if m.session.State() != session.Draining {
			t.Errorf("state %v", m.session.State())
		}
	}
}

// A large room is given its messages in several turns, so that the loop's other
// sessions are not held up.
func TestLargeGroupTakesTurns(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	members := h.join(g, 340)
	must(t, g.Send([]byte("first ")))
	var given []int
	for turn := 0; h.errands[0].RunAll() > 0; turn++ {
		n := 0
		for _, m := range members {
			n += m.writes()
		}
		given = append(given, n)
		switch turn {
		case 0: // comes while the first is under way
			must(t, g.Send([]byte("second")))
			must(t, g.Leave(members[0].session))
			must(t, g.Leave(members[339].session))
			members[1].close()   // has been given the first
			members[338].close() // has not
		}
	}
	if fmt.Sprint(given) != "[128 128 128 128 128 37]" {
		t.Errorf("members given something in each turn: %v", given)
	}
	for i, m := range members {
		want := "first second"
		switch i {
		case 1:
			want = "first "
		case 338:
			want = ""
		}
		h.wantTook(m, want)
	}
	wantStats(t, g.Stats(), session.GroupStats{Members: 336, Published: 2, Delivered: 680 - 3, Unsent: 3})
}

// While somebody else writes for the session, what the group sends waits, and the loop
// is told when the write has ended.
func TestGroupWaitsForWhoeverWrites(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	m.during = func() {
		m.during = nil
		h.publish(g, "group ")
		m.attended()
	}
	must(t, m.session.Send([]byte("own ")))
	if m.attended() == 0 {
		t.Fatal("the loop was not told")
	}
	if st := m.driver.Status(); st != transport.Pending {
		t.Errorf("status %b, want Pending", st)
	}
	m.driver.Writable()
	h.wantTook(m, "own group ")
}

// Close from elsewhere while the loop writes for a group: FIN goes out, and nothing
// behind it.
func TestNothingGoesBehindFIN(t *testing.T) {
	for name, script := range map[string][]answer{
		"all taken": nil, "one taken": {{n: 2}}, "half of one": {{n: 1}}, "one and a half": {{n: 3}, again}, "nothing": {again},
	} {
		for _, corked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in a handler: %v", name, corked), func(t *testing.T) {
				h := newHall(t, session.GroupConfig{}, 1)
				h.shared.Pooled = corked // the handler runs meanwhile
				g := h.groups.Group("g")
				publish := func() {
					must(t, g.Send([]byte("ab")))
					must(t, g.Send([]byte("cd")))
					h.run()
				}
				m := h.enter(&parts{message: func(s *session.Session, _ session.Frame) {
					must(t, s.Send([]byte("own ")))
					publish()
				}})
				m.driver.Run(h.shared)
				must(t, g.Join(m.session))
				h.run()
				m.script = script
				m.during = func() {
					_ = m.session.Close()
					if m.shutdown > 0 {
						t.Error("a write behind FIN")
					}
				}
				segment := h.shared.Pool.Get(100)
				defer segment.Release()
				if corked {
					m.driver.Deliver(segment, segment.Bytes()[:1], 0)
					for m.driver.Run(h.shared) {
					}
				} else {
					publish()
				}
				m.thaw()
				if m.shutdown != 1 {
					t.Errorf("%d FINs", m.shutdown)
				}
				got := strings.TrimPrefix(m.taken(), "own ")
				if !strings.HasPrefix("abcd", got) || len(got)%2 != 0 {
					t.Errorf("the kernel took %q", got)
				}
				st := g.Stats()
				wantStats(t, st, session.GroupStats{Members: 1, Published: 2, Delivered: st.Delivered, Unsent: 2 - st.Delivered})
			})
		}
	}
}

// CloseWrite of one who is behind sends what waits, and FIN, however much is published
// meanwhile.
func TestCloseWriteOfOneWhoIsBehind(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	m.stick(0)
	h.publish(g, "before ", "too ")
	must(t, m.session.CloseWrite())
	h.publish(g, "after")
	m.thaw()
	h.wantTook(m, "before too ")
	if m.shutdown != 1 {
		t.Errorf("%d FINs", m.shutdown)
	}
	wantStats(t, g.Stats(), session.GroupStats{Members: 1, Published: 3, Delivered: 2, Unsent: 1})
}

// Close does not throw away what waits for a member, and FIN comes behind it.
func TestCloseSendsWhatWaits(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g, other := h.groups.Group("g"), h.groups.Group("other")
	m := h.join(g, 1)[0]
	must(t, other.Join(m.session))
	m.stick(3)
	h.publish(g, "begun ")
	h.publish(other, "other ")
	h.publish(g, "third ")
	must(t, m.session.Send([]byte("own ")))
	must(t, m.session.Close())
	if m.shutdown != 0 {
		t.Error("FIN before what waits")
	}
	m.thaw()
	if got := m.taken(); !strings.HasPrefix(got, "begun own ") || len(got) != len("begun own other third ") {
		t.Errorf("the kernel took %q", got)
	}
	if st := m.driver.Status(); m.shutdown != 1 || st&transport.Drained == 0 {
		t.Errorf("%d FINs, status %b", m.shutdown, st)
	}
}

// A handler sends a view of its message while its loop writes for a group: what the
// kernel does not take is copied when the loop has written, and the loop's segment is
// free again.
func TestViewsAreUnpinnedBehindAGroupsWrite(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	h.shared.Pooled = true
	g := h.groups.Group("g")
	m := h.enter(session.HandlerFunc(func(s *session.Session, f session.Frame) { must(t, s.Send(f.Bytes())) }))
	m.driver.Run(h.shared)
	must(t, g.Join(m.session))
	h.run()
	segment := h.shared.Pool.Get(64 << 10)
	defer segment.Release()
	m.driver.Deliver(segment, append(segment.Bytes()[:0], "view"...), 0)
	m.during = func() {
		m.during = nil
		for m.driver.Run(h.shared) {
		}
	}
	m.script, m.otherwise = []answer{again}, &again
	h.publish(g, "group ")
	if segment.Shared() {
		t.Error("the loop's segment is pinned by what the handler sent")
	}
	m.thaw()
	if got := m.taken(); got != "viewgroup " && got != "group view" {
		t.Errorf("the kernel took %q", got)
	}
}

// A write fails: the rest is unsent, and the session is not called slow.
func TestGroupWriteFails(t *testing.T) {
	h := newHall(t, session.GroupConfig{QueueBytes: 1}, 1)
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	m.script = []answer{{n: 1}, {errno: syscall.ECONNRESET}}
	h.publish(g, "abc", "d")
	if st := m.driver.Status(); st&transport.Failed == 0 {
		t.Errorf("status %b, want Failed", st)
	}
	m.close()
	wantStats(t, statsOf(h), session.GroupStats{Published: 2, Delivered: 1, Unsent: 1})
}

func statsOf(h *hall) session.GroupStats {
	st, _ := h.groups.Stats()
	return st
}

// Codecs that nobody has any more are forgotten, although the group goes on.
func TestGroupForgetsCodecs(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 2)
	g := h.groups.Group("g")
	h.join(g, 1)
	for size := range 200 {
		codec, err := frame.NewLengthPrefix(frame.LengthPrefix{Max: 100 + size})
		must(t, err)
		m := h.enter(session.Framed(&parts{}, codec))
		must(t, g.Join(m.session))
		h.publish(g, "x")
		if size%2 == 0 {
			must(t, g.Leave(m.session))
			h.run()
		}
		m.close()
		h.run()
	}
	if n := g.Streams(); n != 1 {
		t.Errorf("%d streams, want 1", n)
	}
}

// Who joins and leaves faster than its loop gets to know is refused, and costs so much only.
func TestJoinsAreBounded(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g, other := h.groups.Group("g"), h.groups.Group("other")
	m := h.join(g, 1)[0]
	must(t, other.Join(m.session))
	var err error
	n := 0
	for ; err == nil && n < 100_000; n++ {
		must(t, g.Leave(m.session))
		err = g.Join(m.session)
	}
	wantError(t, "Join", err, session.ErrMailboxFull)
	if n > 5000 {
		t.Errorf("refused after %d times", n)
	}
	wantError(t, "Join of another one", h.groups.Group("third").Join(m.session), session.ErrMailboxFull)
	wantError(t, "Leave", g.Leave(m.session), session.ErrNotMember)
	must(t, other.Leave(m.session)) // it may always leave
	h.run()
	must(t, g.Join(m.session))
	h.publish(g, "here again")
	h.wantTook(m, "here again")
}

// A loop that has many joins and leaves to learn of does other things in between.
func TestTurnLearnsOfSoManyMoves(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	all := h.join(g, 20)
	must(t, g.Send([]byte("first,")))
	for range 1000 {
		for _, m := range all {
			must(t, g.Leave(m.session))
			must(t, g.Join(m.session))
		}
	}
	must(t, g.Send([]byte("last")))
	turns := 1
	for h.errands[0].RunAll(); !h.errands[0].Empty(); turns++ {
		h.errands[0].RunAll()
	}
	if turns < 4 {
		t.Errorf("40000 moves in %d turns", turns)
	}
	for _, m := range all {
		h.wantTook(m, "first,last")
	}
}

// Who joins again with another codec, or after the group was empty, is given everything of the
// stay before first, however many turns that takes.
func TestStaysFollowEachOther(t *testing.T) {
	t.Run("another codec", func(t *testing.T) {
		h := newHall(t, session.GroupConfig{}, 1)
		g := h.groups.Group("g")
		all := h.join(g, 300)
		must(t, g.Send([]byte("first\n")))
		for _, m := range all[100:200] { // two turns are needed for the first message
			must(t, g.Leave(m.session))
			m.session.SetCodec(frame.Lines())
			must(t, g.Join(m.session))
		}
		must(t, g.Send([]byte("second")))
		for _, m := range all[150:200] {
			must(t, g.Leave(m.session))
			m.session.SetCodec(nil)
			must(t, g.Join(m.session))
		}
		must(t, g.Send([]byte("third")))
		h.run()
		for i, m := range all {
			want := "first\nsecondthird"
			switch {
			case i >= 100 && i < 150:
				want = "first\nsecond\nthird\n"
			case i >= 150 && i < 200:
				want = "first\nsecond\nthird"
			}
			h.wantTook(m, want)
		}
		wantStats(t, g.Stats(), session.GroupStats{Members: 300, Published: 3, Delivered: 900})
	})
	t.Run("another room", func(t *testing.T) {
		h := newHall(t, session.GroupConfig{}, 1)
		g := h.groups.Group("g")
		all := h.join(g, 300)
		for i := range 3 {
			must(t, g.Send([]byte{'0' + byte(i)}))
			for _, m := range all {
				must(t, g.Leave(m.session))
			}
			for _, m := range slices.Backward(all) { // those come first whom the stay before comes to last
				must(t, g.Join(m.session))
			}
		}
		must(t, g.Send([]byte("3")))
		h.run()
		for _, m := range all {
			h.wantTook(m, "0123")
		}
		wantStats(t, statsOf(h), session.GroupStats{Members: 300, Published: 4, Delivered: 1200})
	})
}

// Loops that are far behind have publishers wait, or be refused.
func TestPublishToLoopsThatAreBehind(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	big := make([]byte, 40<<10)
	must(t, g.Send(big))
	must(t, g.Send(big)) // 80 KiB of 64
	wantError(t, "Send", g.Send(big), session.ErrBufferFull)

	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("no patience")
	cancel(cause)
	wantError(t, "PublishContext", g.PublishContext(ctx, session.Notice{Bytes: big}), cause)

	done := make(chan error)
	go func() { done <- g.PublishContext(context.Background(), session.Notice{Bytes: big}) }()
	for g.Waiting() < 2 { // the one whose context ended is forgotten with the next turn
		time.Sleep(time.Microsecond)
	}
	h.run()
	wantError(t, "PublishContext", <-done, nil)
	h.run()
	if n := len(m.taken()); n != 3*len(big) {
		t.Errorf("%d bytes came", n)
	}
	if n := g.Waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}

	// A loop must not wait for itself.
	h.shared.OnLoop = func() bool { return true }
	must(t, g.Send(big))
	must(t, g.Send(big))
	wantError(t, "PublishContext on a loop", g.PublishContext(context.Background(), session.Notice{Bytes: big}), session.ErrBufferFull)

	// Who waits for a group that ends goes on, to nobody.
	h.shared.OnLoop = func() bool { return false }
	go func() { done <- g.PublishContext(context.Background(), session.Notice{Bytes: big}) }()
	for g.Waiting() == 0 {
		time.Sleep(time.Microsecond)
	}
	m.close()
	wantError(t, "PublishContext", <-done, nil)
}

// Large messages are written in pieces of what one system call takes, and wait by
// reference.
func TestLargeGroupMessages(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	h.shared.Cap = 8 << 20
	g := h.groups.Group("g")
	members := h.join(g, 3)
	members[2].stick(100 << 10)
	message := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	must(t, g.Send(message))
	h.run()
	must(t, g.Send([]byte("behind")))
	h.run()
	if held := h.shared.Pool.Stats().InUse; held > 1<<20+256<<10 { // and the page of the next one
		t.Errorf("%d bytes are held for one message of 1 MiB", held)
	}
	members[2].thaw()
	for _, m := range members {
		h.wantTook(m, string(message)+"behind")
	}
}

// OnLag is told of a member that falls behind and catches up, in turn, and what is too
// fast to tell is left out.
func TestOnLagAlternates(t *testing.T) {
	var told []string
	config := session.GroupConfig{Slow: session.DropNewest, OnLag: func(g *session.Group, s *session.Session, behind bool) {
		told = append(told, fmt.Sprintf("%s %d %v", g.Name(), s.ID(), behind))
	}}
	h := newHall(t, config, 1)
	g := h.groups.Group("g")
	m := h.join(g, 2)[1]
	want := func(what string, lines ...string) {
		t.Helper()
		if !m.closed {
			m.driver.Status()
		}
		if !slices.Equal(told, lines) {
			t.Fatalf("%s: told %q, want %q", what, told, lines)
		}
		told = nil
	}
	h.publish(g, "x")
	want("nobody is behind")
	m.stick(0)
	h.publish(g, "x", "y")
	want("behind", "g 1 true")
	m.thaw()
	want("caught up", "g 1 false")
	m.stick(0)
	h.publish(g, "x")
	m.set(nil)
	m.driver.Writable()
	want("behind for a moment")
	m.stick(0)
	h.publish(g, "x")
	want("behind again", "g 1 true")
	must(t, g.Leave(m.session))
	h.run()
	want("left", "g 1 false")
	must(t, g.Join(m.session))
	h.run()
	h.publish(g, "x")
	want("behind in another stay", "g 1 true")
	m.close()
	want("closed", "g 1 false")
}

// A group that is used by nobody costs nothing after its members have gone, even if one
// of them was behind.
func TestClosedMemberWhoWasBehindLeavesNothing(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	m.stick(1)
	h.publish(g, "one", "two")
	m.close()
	if st := h.shared.Pool.Stats(); st.InUse != 0 {
		t.Errorf("buffers left: %+v", st)
	}
}

// listed is a codec that cannot be compared with others.
type listed struct {
	frame.Codec
	of []string
}

func TestGroupWithACodecThatCannotBeCompared(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	var members []*member
	for range 2 {
		m := h.enter(session.Framed(&parts{}, listed{frame.Lines(), nil}))
		must(t, g.Join(m.session))
		members = append(members, m)
	}
	h.run()
	h.publish(g, "group")
	c, err := session.NewCast(h.shared, []byte("cast"), 1, transport.Key{})
	must(t, err)
	for _, m := range members {
		if !m.driver.Cast(c) {
			t.Error("refused")
		}
		h.wantTook(m, "group\ncast\n")
	}
	c.Done()
}

// A codec of the user's panics when its loop frames a message for everybody: that session is
// left out, and the panic told of.
func TestCodecThatPanicsInACast(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	var told []any
	h.shared.Panicked = func(_ uint64, value any, _ []byte) { told = append(told, value) }
	broken, whole := h.enter(session.Framed(&parts{}, headPanics{frame.Lines()})), h.enter(session.Framed(&parts{}, frame.Lines()))
	c, err := session.NewCast(h.shared, []byte("cast"), 1, transport.Key{})
	must(t, err)
	if broken.driver.Cast(c) {
		t.Error("it was given what cannot be framed")
	}
	if !whole.driver.Cast(c) {
		t.Error("the other one was refused")
	}
	c.Done()
	h.wantTook(broken, "")
	h.wantTook(whole, "cast\n")
	if len(told) != 1 {
		t.Errorf("panics told of: %v", told)
	}
}

// What loops are behind with has a bound, in memory, also if the messages are small.
func TestSmallMessagesAreBounded(t *testing.T) {
	for _, text := range []string{"", "x"} {
		h := newHall(t, session.GroupConfig{}, 1)
		g := h.groups.Group("g")
		h.join(g, 1)
		var err error
		for n := 0; n < 1<<20 && err == nil; n++ {
			err = g.Send([]byte(text))
		}
		wantError(t, "Send", err, session.ErrBufferFull)
		if held := h.shared.Pool.Stats().InUse; held > 4*int64(h.shared.Cap) {
			t.Errorf("%d bytes are held of messages of %q", held, text)
		}
		h.run()
	}
}

func TestEmptyCastsAreBounded(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	var under []*session.Cast
	for {
		c, err := session.NewCast(h.shared, nil, 1, transport.Key{})
		if err != nil {
			wantError(t, "NewCast", err, session.ErrBufferFull)
			break
		}
		if under = append(under, c); len(under) > 1<<16 {
			t.Fatalf("%d were taken, and none is done", len(under))
		}
	}
	for _, c := range under {
		c.Done()
	}
	if n := h.shared.Casting.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// A snapshot sends to another group, outside handlers: its loops are told when JoinAfter has
// returned. If they were told at once, whatever handlers had left would be, too, and that
// may be for this group, which is locked.
func TestSnapshotSendsToAnotherGroup(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	own, other := h.groups.Group("own"), h.groups.Group("other")
	m := h.join(other, 1)[0]
	must(t, own.JoinAfter(h.enter(nil).session, func() error {
		err := other.Send([]byte("hello"))
		if !h.errands[0].Empty() {
			t.Error("loops are told during the snapshot")
		}
		return err
	}))
	h.run()
	h.wantTook(m, "hello")
}

// A snapshot joins the session to another group, after a handler has published to the first
// one: what is held for that one, which is locked, must not go yet.
func TestSnapshotJoinsAnotherGroup(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	own, other := h.groups.Group("own"), h.groups.Group("other")
	m := h.join(own, 1)[0]
	s := h.enter(nil).session
	stuck := time.AfterFunc(20*time.Second, func() { panic("JoinAfter waits for itself") })
	defer stuck.Stop()
	h.shared.Cork.Gather() // a handler runs
	must(t, own.Send([]byte("hello")))
	must(t, own.JoinAfter(s, func() error {
		return other.JoinAfter(s, func() error { return nil })
	}))
	h.shared.Cork.Release()
	h.run()
	h.wantTook(m, "hello")
}

// What a codec panics at in the middle of a Publish is published to nobody, and counts for
// nobody.
func TestTailPanicsInPublish(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	codec := &tailPanics{Codec: frame.Lines()}
	m := h.enter(session.Framed(&parts{}, codec))
	must(t, g.Join(m.session))
	plain := h.join(g, 1)[0]
	codec.now = true
	func() {
		defer func() { _ = recover() }()
		_ = g.SendExcept(m.session, []byte("x"))
	}()
	codec.now = false
	h.run()
	h.wantTook(plain, "")
	must(t, g.Leave(m.session))
	h.run()
	wantStats(t, g.Stats(), session.GroupStats{Members: 1})
}

// A time to live that ends after all time never does.
func TestLongTTL(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	h.now = time.Now().UnixNano()
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	must(t, g.Publish(session.Notice{Bytes: []byte("hello"), TTL: math.MaxInt64}))
	h.run()
	h.wantTook(m, "hello")
}

// holdingLink lets the test hold the session's lock.
type holdingLink struct {
	*fakeLink
	attend func()
}

func (l *holdingLink) Attend() {
	if l.attend != nil {
		l.attend()
	}
	l.fakeLink.Attend()
}

// A loop finds somebody writing, and puts the message off; then the writer ends, the session
// is closed, and FIN goes out; and then the loop records that the session is behind. Who holds
// the lock meanwhile makes that order likely; nothing fails in any other.
func TestNothingGoesBehindFINOfOneWhoFallsBehind(t *testing.T) {
	for range 5 {
		h := newHall(t, session.GroupConfig{}, 1)
		g := h.groups.Group("g")
		link := &holdingLink{fakeLink: &fakeLink{shared: h.shared, refs: 1, options: map[sock.Option]int{}}}
		m := &member{fakeLink: link.fakeLink}
		m.session = session.New(0, link, testPeer, time.Unix(0, 0), session.NewBehaviour(&parts{}))
		m.driver = session.Drive(m.session, transport.Key{})
		h.members = append(h.members, m)
		m.driver.Open()
		must(t, g.Join(m.session))
		h.run()
		inWrite, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		link.during = func() {
			once.Do(func() { close(inWrite); <-goOn })
			if m.shutdown > 0 {
				t.Error("a write behind FIN")
			}
		}
		var all sync.WaitGroup
		all.Go(func() { must(t, m.session.Send([]byte("own "))) })
		<-inWrite
		must(t, g.Send([]byte("group")))
		held, next, n := make(chan struct{}), make(chan struct{}), 0
		link.attend = func() { // twice in a row: those who wait get the lock in their turn then
			if n++; n <= 2 {
				held <- struct{}{}
				<-next
			}
		}
		const others = 5 * time.Millisecond // for them to begin to wait
		all.Go(func() { m.session.PauseRead(); m.session.ResumeRead() })
		<-held
		all.Go(h.run)
		time.Sleep(others)
		close(goOn)
		time.Sleep(others)
		all.Go(func() { must(t, m.session.Close()) })
		time.Sleep(others)
		next <- struct{}{}
		ended := make(chan struct{})
		go func() { all.Wait(); close(ended) }()
		select {
		case <-held:
			time.Sleep(others)
			next <- struct{}{}
		case <-ended: // nothing to tell the loop of
		}
		<-ended
		link.attend = nil
		m.thaw()
	}
}

// What a member is behind by is bounded by its group's limit, long keys included, and so is
// what its loop is behind with.
func TestLongKeysCount(t *testing.T) {
	const limit, key = 1 << 20, 16 << 10
	h := newHall(t, session.GroupConfig{Slow: session.Conflate, QueueBytes: limit}, 1)
	g := h.groups.Group("g")
	h.join(g, 1)[0].stick(0)
	publish := func(i int) error {
		return g.Publish(session.Notice{Bytes: []byte("x"), Key: fmt.Sprint(i) + strings.Repeat("k", key)})
	}
	for i := range 1000 {
		must(t, publish(i))
		h.run()
	}
	if n := g.Stats().Queued; n > limit/key {
		t.Errorf("%d messages wait, with keys of %d bytes, for who may be behind by %d", n, key, limit)
	}
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = publish(n)
	}
	wantError(t, "Publish to a loop that is behind", err, session.ErrBufferFull)
	if n > 2*h.shared.Cap/key+1 {
		t.Errorf("%d messages were taken", n)
	}
	h.run()
}
