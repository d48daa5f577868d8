package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/session"
)

// What becomes of messages for a member that does not read. In these tests a message
// has 100 bytes, and limits are chosen in such pieces.

// piece is message n, of 100 bytes.
func piece(n int) string {
	text := fmt.Sprintf("<%d>", n)
	return text + strings.Repeat(".", 100-len(text))
}

func pieces(numbers ...int) (all string) {
	for _, n := range numbers {
		all += piece(n)
	}
	return all
}

// stuckIn makes a group of one who reads and one who does not, whose kernel takes so
// many bytes more.
func stuckIn(t *testing.T, config session.GroupConfig, bytes int) (h *hall, g *session.Group, good, stuck *member) {
	h = newHall(t, config, 1)
	g = h.groups.Group("g")
	members := h.join(g, 2)
	members[1].stick(bytes)
	return h, g, members[0], members[1]
}

// TestPoliciesDropExactly publishes ten messages, one by one or at once, to a member
// whose kernel takes the first and a half.
func TestPoliciesDropExactly(t *testing.T) {
	for _, c := range []struct {
		policy session.SlowPolicy
		limit  int
		oneBy  []int // what came in the end, if sent one by one: 64 bytes for each
		atOnce []int
	}{
		{session.DropOldest, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{session.DropOldest, 500, []int{0, 1, 7, 8, 9}, []int{0, 1, 6, 7, 8, 9}},
		{session.DropOldest, 164, []int{0, 1, 9}, []int{0, 1, 9}},
		{session.DropOldest, 163, []int{0, 1}, []int{0, 1}},
		{session.DropNewest, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{session.DropNewest, 500, []int{0, 1, 2, 3, 4}, []int{0, 1, 2, 3, 4, 5}},
		{session.DropNewest, 164, []int{0, 1, 2}, []int{0, 1, 2}},
		{session.DropNewest, 163, []int{0, 1}, []int{0, 1}},
		{session.Conflate, 0, []int{0, 1, 9}, []int{0, 1, 9}},
		{session.Conflate, 164, []int{0, 1, 9}, []int{0, 1, 9}},
		{session.Conflate, 163, []int{0, 1}, []int{0, 1}},
	} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v at %d, at once: %v", c.policy, c.limit, atOnce), func(t *testing.T) {
				h, g, good, stuck := stuckIn(t, session.GroupConfig{Slow: c.policy, QueueBytes: c.limit}, 150)
				must(t, g.Send([]byte(piece(0))))
				must(t, g.Send([]byte(piece(1))))
				h.run()
				for n := 2; n < 10; n++ {
					must(t, g.Send([]byte(piece(n))))
					if !atOnce {
						h.run()
					}
				}
				h.run()
				h.wantTook(stuck, pieces(0, 1)[:150])
				want := c.oneBy
				if atOnce {
					want = c.atOnce
				}
				kept := len(want) - 2
				wantStats(t, g.Stats(), session.GroupStats{
					Members: 2, Published: 10, Delivered: 12, Queued: int64(kept), Dropped: uint64(8 - kept),
				})
				stuck.thaw()
				h.wantTook(stuck, pieces(want...))
				h.wantTook(good, pieces(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
				wantStats(t, g.Stats(), session.GroupStats{
					Members: 2, Published: 10, Delivered: 12 + uint64(kept), Dropped: uint64(8 - kept),
				})
				h.publish(g, piece(10))
				h.wantTook(stuck, pieces(append(want, 10)...))
			})
		}
	}
}

// A message that has begun to go out of the backlog is not dropped any more.
func TestDropOldestSparesWhatHasBegun(t *testing.T) {
	h, g, _, stuck := stuckIn(t, session.GroupConfig{Slow: session.DropOldest, QueueBytes: 3 * 164}, 0)
	for n := range 3 {
		h.publish(g, piece(n))
	}
	stuck.script = []answer{{n: 130}}
	stuck.driver.Writable() // all of 0, some of 1
	for n := 3; n < 8; n++ {
		h.publish(g, piece(n))
	}
	stuck.script = []answer{{n: 70}, {n: 1}}
	stuck.driver.Writable() // the rest of 1, and 5 begins
	h.publish(g, piece(8), piece(9))
	stuck.thaw()
	h.wantTook(stuck, pieces(0, 1, 5, 7, 8, 9))
	wantStats(t, g.Stats(), session.GroupStats{Members: 2, Published: 10, Delivered: 16, Dropped: 4})
}

// Conflate keeps the latest value of each key, in the order in which keys came up first.
func TestConflateKeepsTheLatestOfEachKey(t *testing.T) {
	h, g, good, stuck := stuckIn(t, session.GroupConfig{Slow: session.Conflate}, 0)
	publish := func(texts ...string) {
		for _, text := range texts {
			key, _, _ := strings.Cut(text, "=")
			if key == "_" {
				key = ""
			}
			must(t, g.Publish(session.Notice{Bytes: []byte(text + " "), Key: key}))
		}
		h.run()
	}
	publish("b=1", "a=1", "_=1", "b=2", "c=1", "a=2", "_=2")
	publish("b=3", "c=2")
	stuck.script = []answer{{n: 6}, {n: 0, errno: again.errno}} // b, and half of a
	stuck.driver.Writable()
	h.wantTook(stuck, "b=3 a=")
	publish("a=3", "b=4", "c=3")
	stuck.thaw()
	h.wantTook(stuck, "b=3 a=2 _=2 c=3 a=3 b=4 ")
	h.wantTook(good, "b=1 a=1 _=1 b=2 c=1 a=2 _=2 b=3 c=2 a=3 b=4 c=3 ")
	wantStats(t, g.Stats(), session.GroupStats{Members: 2, Published: 12, Delivered: 12 + 6, Dropped: 6})
}

// Above the limit Conflate drops what came up first.
func TestConflateHasALimit(t *testing.T) {
	h, g, _, stuck := stuckIn(t, session.GroupConfig{Slow: session.Conflate, QueueBytes: 3 * 164}, 0)
	for n := range 10 {
		must(t, g.Publish(session.Notice{Bytes: []byte(piece(n)), Key: fmt.Sprint(n % 5)}))
		h.run()
	}
	stuck.thaw()
	h.wantTook(stuck, pieces(7, 8, 9))
	wantStats(t, g.Stats(), session.GroupStats{Members: 2, Published: 10, Delivered: 13, Dropped: 7})
}

// CloseSlow closes once, for a reason that says so, however many messages were too much
// and in however many groups.
func TestCloseSlowClosesOnce(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		h := newHall(t, session.GroupConfig{QueueBytes: 300}, 1)
		g, other := h.groups.Group("g"), h.groups.Group("other")
		members := h.join(g, 2)
		must(t, other.Join(members[1].session))
		members[1].stick(100)
		for n := range 10 {
			must(t, g.Publish(session.Notice{Bytes: []byte(piece(n)), Except: h.members[n%2].session}))
			must(t, g.Send([]byte(piece(n))))
			must(t, other.Send(make([]byte, 301)))
			if !atOnce {
				h.run()
			}
		}
		h.run()
		members[1].close()
		var closed *session.CloseError
		reason := members[1].ended()
		if !errors.As(reason, &closed) || closed.Reason != session.ReasonSlowConsumer || closed.Err != session.ErrBehind {
			t.Errorf("closed because of %v", reason)
		}
		st := statsOf(h)
		if st.Closed != 1 {
			t.Errorf("counted %d times", st.Closed)
		}
		if owed := 15 + 15 + 10; int(st.Delivered+st.Unsent) != owed || st.Queued != 0 || st.Dropped != 0 {
			t.Errorf("counted %+v, of %d that were owed", st, owed)
		}
		if got := len(members[0].taken()); got != 1500 {
			t.Errorf("the other got %d bytes", got)
		}
	}
}

// ended is why the session has ended.
func (m *member) ended() error {
	return context.Cause(m.session.Context())
}

// The memory that a member holds who does not read stays near the limit, however messages
// lie in their pages.
func TestStuckMemberHoldsLittleMemory(t *testing.T) {
	const limit = 64 << 10
	const most = 2*limit + 100<<10
	count := 8000
	if testing.Short() || checkingBuild {
		count = 4000
	}
	text := bytes.Repeat([]byte("x"), 300)
	for name, publish := range map[string]func(g *session.Group, n int, random *rand.Rand, stuck *member) session.Notice{
		"of one byte": func(*session.Group, int, *rand.Rand, *member) session.Notice {
			return session.Notice{Bytes: text[:1]}
		},
		"empty": func(*session.Group, int, *rand.Rand, *member) session.Notice {
			return session.Notice{}
		},
		"many keys": func(_ *session.Group, n int, random *rand.Rand, _ *member) session.Notice {
			return session.Notice{Bytes: text[:random.IntN(200)], Key: fmt.Sprint(random.IntN(400))}
		},
		"many keys, few of which change": func(_ *session.Group, n int, random *rand.Rand, _ *member) session.Notice {
			key := random.IntN(5)
			if n%20 == 0 {
				key = n / 20
			}
			return session.Notice{Bytes: text[:random.IntN(200)], Key: fmt.Sprint(key)}
		},
		"mostly for others": func(_ *session.Group, n int, _ *rand.Rand, stuck *member) session.Notice {
			if n%50 == 0 {
				return session.Notice{Bytes: text[:20]}
			}
			return session.Notice{Bytes: text, Except: stuck.session}
		},
		"large among small": func(_ *session.Group, n int, random *rand.Rand, _ *member) session.Notice {
			return session.Notice{Bytes: text[:random.IntN(300)*(n%7/6)]}
		},
	} {
		for _, policy := range []session.SlowPolicy{session.DropOldest, session.DropNewest, session.Conflate} {
			for _, batch := range []int{1, 30} {
				t.Run(fmt.Sprintf("%s, %v, %d at once", name, policy, batch), func(t *testing.T) {
					h, g, good, stuck := stuckIn(t, session.GroupConfig{Slow: policy, QueueBytes: limit}, 0)
					random := rand.New(rand.NewPCG(1, 2))
					held := int64(0)
					for n := range count {
						must(t, g.Publish(publish(g, n, random, stuck)))
						if n%batch == 0 {
							h.run()
							good.took, good.calls = nil, nil
							held = max(held, h.shared.Pool.Stats().InUse)
						}
					}
					if held > most {
						t.Errorf("%d bytes were held, want at most %d", held, most)
					}
					st := g.Stats()
					if name == "of one byte" && policy == session.DropNewest && st.Queued < limit/100 {
						t.Errorf("%d messages wait, and there is room for more", st.Queued)
					}
				})
			}
		}
	}
}

// What Go's own memory shows, for messages of one byte with an expiry date.
func TestStuckMemberHoldsLittleBesidePages(t *testing.T) {
	if checkingBuild {
		t.Skip("this build holds more on purpose")
	}
	const limit = 1 << 20
	h, g, good, _ := stuckIn(t, session.GroupConfig{Slow: session.DropOldest, QueueBytes: limit}, 0)
	h.shared.Pool = buffer.NewPool(buffer.Config{MaxIdleBytes: -1})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 200_000 {
		must(t, g.Publish(session.Notice{Bytes: []byte("x"), TTL: 1 << 40}))
		h.run()
		good.took, good.calls = nil, nil
	}
	for range 3 { // what is kept for reuse goes, too
		runtime.GC()
	}
	runtime.ReadMemStats(&after)
	if grown := int(after.HeapAlloc) - int(before.HeapAlloc); grown > 6*limit {
		t.Errorf("the heap grew by %d bytes for a limit of %d", grown, limit)
	}
}
