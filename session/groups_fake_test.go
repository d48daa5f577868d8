package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// hall is many sessions on fakeLinks, and groups. Loops do their errands when the test
// says so.
type hall struct {
	t       testing.TB
	shared  *transport.Shared
	groups  *session.Groups
	now     int64
	errands []transport.Errands
	members []*member
}

// member is one of the sessions.
type member struct {
	*fakeLink
	session *session.Session
	driver  session.Driver
	closed  bool
}

// newHall makes a hall whose groups are all treated alike. At the end of the test
// everybody is closed, and nothing may be left.
func newHall(t testing.TB, config session.GroupConfig, loops int) *hall {
	h := &hall{t: t, errands: make([]transport.Errands, loops)}
	h.shared = &transport.Shared{
		Pool:      buffer.NewPool(buffer.Config{Debug: true}),
		TaskLimit: 100, UnreadLimit: 64 << 10,
		LowWater: testLow, HighWater: testHigh, Cap: 64 << 10, QueuedCap: 1 << 40,
		Loops:    loops,
		LoopOf:   func(id uint64) int { return int(id) % loops },
		Leave:    func(loop int, x *transport.Errand) { h.errands[loop].Leave(x) },
		OnLoop:   func() bool { return false },
		Panicked: func(_ uint64, value any, stack []byte) { t.Errorf("panic: %v\n%s", value, stack) },
	}
	h.shared.Cork.Holding = func() {}
	h.groups = session.NewGroups(h.shared, func() int64 { return h.now }, true,
		func(string) session.GroupConfig { return config }, transport.Key{})
	t.Cleanup(h.mustEndClean)
	return h
}

func (h *hall) mustEndClean() {
	for _, m := range h.members {
		m.close()
	}
	h.run()
	st, groups := h.groups.Stats()
	if groups != 0 || st.Members != 0 || st.Queued != 0 {
		h.t.Errorf("%d groups are left: %+v", groups, st)
	}
	if st := h.shared.Pool.Stats(); st.InUse != 0 || st.Segments != 0 {
		h.t.Errorf("buffers left: %+v", st)
	}
	for _, m := range h.members {
		if m.refs != 0 {
			h.t.Errorf("%d counts left on a descriptor", m.refs)
		}
	}
}

// enter opens a session for handler, which may be nil.
func (h *hall) enter(handler session.Handler) *member {
	if handler == nil {
		handler = &parts{}
	}
	m := &member{fakeLink: &fakeLink{shared: h.shared, refs: 1, options: map[sock.Option]int{}}}
	m.session = session.New(uint64(len(h.members)), m, testPeer, time.Unix(int64(len(h.members)), 0), session.NewBehaviour(handler))
	m.driver = session.Drive(m.session, transport.Key{})
	h.members = append(h.members, m)
	m.driver.Open()
	return m
}

// join has n sessions enter a group, and its loops know of them.
func (h *hall) join(g *session.Group, n int) (all []*member) {
	for range n {
		m := h.enter(nil)
		must(h.t, g.Join(m.session))
		all = append(all, m)
	}
	h.run()
	return all
}

// run does the errands of all loops until there are none.
func (h *hall) run() {
	for loop := range h.errands {
		for h.errands[loop].RunAll() > 0 {
		}
	}
}

// publish sends messages one by one, and has each go out before the next is sent.
func (h *hall) publish(g *session.Group, messages ...string) {
	h.t.Helper()
	for _, m := range messages {
		must(h.t, g.Send([]byte(m)))
		h.run()
	}
}

// stick has the member's kernel take n bytes more, and then nothing.
func (m *member) stick(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script = nil
	if n > 0 {
		m.script = []answer{{n: n}}
	}
	m.otherwise = &again
}

// thaw has it take everything.
func (m *member) thaw() {
	m.set(nil)
	m.driver.Writable()
	for st := m.driver.Status(); st&transport.Pending != 0; {
		st = m.driver.Writable()
	}
}

func (m *member) close() {
	if !m.closed {
		m.closed = true
		m.driver.Close()
		m.Release()
	}
}

// wantTook wants everything that the kernel took of a member to be this.
func (h *hall) wantTook(m *member, want string) {
	h.t.Helper()
	if got := m.taken(); got != want {
		h.t.Fatalf("session %d: the kernel took %s, want %s", m.session.ID(), brief(got), brief(want))
	}
}

// wantStats wants a group's counters.
func wantStats(t testing.TB, got, want session.GroupStats) {
	t.Helper()
	if got != want {
		t.Fatalf("counted %+v,\nwant %+v", got, want)
	}
}

// lines are n messages that tell their number.
func lines(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("<%d>", i))
	}
	return all
}

func join(messages []string) string { return strings.Join(messages, "") }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
