//go:build !race && !weirdebug

package session_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// thirstyLink takes everything and remembers nothing.
type thirstyLink struct{ *fakeLink }

func (thirstyLink) Send(p []byte) (int, syscall.Errno) { return len(p), 0 }

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
