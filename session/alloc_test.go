//go:build !race && !weirdebug

package session_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// thirstyLink takes everything and remembers nothing.
type thirstyLink struct{ *fakeLink }

func (thirstyLink) Send(p []byte) (int, syscall.Errno) { return len(p), 0 }

func (thirstyLink) Sendv(views [][]byte) (n int, errno syscall.Errno) {
	for _, v := range views {
		n += len(v)
	}
	return n, 0
}

// Echo in steady state allocates nothing, whether the kernel takes all at once,
// or what the handler sends is a copy.
func TestEchoAllocatesNothing(t *testing.T) {
	copied := []byte("not from the frame")
	for name, h := range map[string]session.HandlerFunc{
		"view": func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) },
		"copy": func(s *session.Session, f session.Frame) { _ = s.Send(copied) },
	} {
		for _, size := range []int{64, 64 << 10} {
			shared := &transport.Shared{
				Pool: buffer.NewPool(buffer.Config{}), LowWater: 1 << 16, HighWater: 1 << 18, Cap: 1 << 22, QueuedCap: 1 << 30,
			}
			link := thirstyLink{&fakeLink{shared: shared, refs: 1}}
			s := session.New(1, link, testPeer, time.Unix(100, 0), session.NewBehaviour(h))
			driver := session.Drive(s, transport.Key{})
			driver.Open()
			segment := shared.Pool.Get(size)
			message := segment.Bytes()[:size]
			if n := testing.AllocsPerRun(1000, func() { driver.Deliver(segment, message, 0) }); n != 0 {
				t.Errorf("%s of %d bytes: %v allocations per message", name, size, n)
			}
		}
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	shared := &transport.Shared{
		Pool: buffer.NewPool(buffer.Config{}), LowWater: 1 << 16, HighWater: 1 << 18, Cap: 1 << 22, QueuedCap: 1 << 30,
	}
	link := thirstyLink{&fakeLink{shared: shared, refs: 1}}
	s := session.New(1, link, testPeer, time.Unix(100, 0), session.NewBehaviour(&parts{}))
	session.Drive(s, transport.Key{}).Open()
	message := make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() { _ = s.Send(message) }); n != 0 {
		t.Errorf("%v allocations per Send", n)
	}
}

// A message to a group, and its way to all members, allocates nothing in steady state.
func TestGroupSendAllocatesNothing(t *testing.T) {
	for _, members := range []int{1, 100} {
		for _, framed := range []bool{false, true} {
			h, g := thirstyHall(t, members, framed)
			message := make([]byte, 64)
			if n := testing.AllocsPerRun(1000, func() {
				_ = g.Send(message)
				h.run()
			}); n != 0 {
				t.Errorf("%d members, framed %v: %v allocations per message", members, framed, n)
			}
		}
	}
}

// A message to a group with a member who does not read allocates nothing once enough wait
// for it.
func TestGroupSendToStuckMemberAllocatesNothing(t *testing.T) {
	for _, policy := range []session.SlowPolicy{session.DropNewest, session.DropOldest, session.Conflate} {
		h := newHall(t, session.GroupConfig{Slow: policy, QueueBytes: 10_000}, 1)
		h.shared.Pool = buffer.NewPool(buffer.Config{})
		g := h.groups.Group("g")
		h.enterThirsty(nil, g)
		stuck := h.join(g, 1)[0]
		stuck.set(&again)
		message := make([]byte, 64)
		send := func() {
			_ = g.Send(message)
			h.run()
		}
		for range 1000 {
			send()
		}
		if n := testing.AllocsPerRun(1000, send); n != 0 {
			t.Errorf("%v: %v allocations per message", policy, n)
		}
	}
}

// enterThirsty opens a session that takes everything, in a group if there is one.
func (h *hall) enterThirsty(handler session.Handler, g *session.Group) *session.Session {
	if handler == nil {
		handler = &parts{}
	}
	link := thirstyLink{&fakeLink{shared: h.shared, refs: 1}}
	s := session.New(uint64(len(h.members)), link, testPeer, time.Unix(100, 0), session.NewBehaviour(handler))
	h.members = append(h.members, &member{fakeLink: link.fakeLink, session: s, driver: session.Drive(s, transport.Key{})})
	session.Drive(s, transport.Key{}).Open()
	if g != nil {
		must(h.t, g.Join(s))
	}
	return s
}

// thirstyHall is a hall with one group of members that take everything.
func thirstyHall(t testing.TB, members int, framed bool) (*hall, *session.Group) {
	h := newHall(t, session.GroupConfig{}, 1)
	h.shared.Pool = buffer.NewPool(buffer.Config{})
	h.shared.Cap = 4 << 20
	g := h.groups.Group("g")
	var handler session.Handler = &parts{}
	if framed {
		handler = session.Framed(handler, frame.Default())
	}
	for range members {
		h.enterThirsty(handler, g)
	}
	h.run()
	return h, g
}

// Frames that come in and answers that go out allocate nothing in steady state.
func TestFramedEchoAllocatesNothing(t *testing.T) {
	for mode, change := range handlerModes {
		for name, codec := range map[string]frame.Codec{"prefix": frame.Default(), "lines": frame.Lines()} {
			for _, size := range []int{10, 64, 8000} {
				shared := &transport.Shared{
					Pool: buffer.NewPool(buffer.Config{}), LowWater: 1 << 16, HighWater: 1 << 18, Cap: 1 << 22, QueuedCap: 1 << 30,
					UnreadLimit: 64 << 10,
				}
				change(shared)
				link := thirstyLink{&fakeLink{shared: shared, refs: 1}}
				echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
				s := session.New(1, link, testPeer, time.Unix(100, 0), session.NewBehaviour(session.Framed(echo, codec)))
				driver := session.Drive(s, transport.Key{})
				driver.Open()
				driver.Run(shared)
				segment := shared.Pool.Get(64 << 10)
				in := segment.Bytes()[:copy(segment.Bytes(), wire(t, codec, strings.Repeat("x", size), strings.Repeat("y", size)))]
				deliver := func(p []byte) {
					if driver.Deliver(segment, p, 0)&transport.Due != 0 {
						driver.Run(shared)
					}
				}
				for split, f := range map[string]func(){
					"whole": func() { deliver(in) },
					"split": func() { deliver(in[:size/2]); deliver(in[size/2 : size+6]); deliver(in[size+6:]) },
				} {
					if n := testing.AllocsPerRun(500, f); n != 0 {
						t.Errorf("%s, %s of %d bytes, %s: %v allocations", mode, name, size, split, n)
					}
				}
			}
		}
	}
}
