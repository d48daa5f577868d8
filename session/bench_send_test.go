//go:build !race && !weirdebug

package session_test

import (
	"fmt"
	"testing"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// The ways of 64 bytes out, to a kernel that takes everything at once: what Send itself
// costs.

// openedSession is a thirstySession and its driver, for what is not a handler.
func openedSession(h *parts, framed bool, change func(*transport.Shared)) (*session.Session, session.Driver, *transport.Shared) {
	var s *session.Session
	h.open = func(opened *session.Session) { s = opened }
	var handler session.Handler = h
	if framed {
		handler = session.Framed(h, frame.Default())
	}
	driver, shared := thirstySession(handler, change)
	return s, driver, shared
}

// From a goroutine that is no handler's: each message is written by itself.
func BenchmarkSend(b *testing.B) {
	message := make([]byte, 64)
	for way, send := range map[string]func(*session.Session) error{
		"copied":   func(s *session.Session) error { return s.Send(message) },
		"owned":    func(s *session.Session) error { return s.SendOwned(message, nil) },
		"notified": func(s *session.Session) error { return s.SendNotify(message, func(error) {}) },
	} {
		for _, framed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/framed=%v", way, framed), func(b *testing.B) {
				s, driver, shared := openedSession(&parts{}, framed, handlerModes["inline"])
				b.ReportAllocs()
				for b.Loop() {
					if err := send(s); err != nil {
						b.Fatal(err)
					}
					if driver.Status()&transport.Due != 0 { // somebody is to be notified
						driver.Run(shared)
					}
				}
			})
		}
	}
}

// From several goroutines to one session: whoever finds the write side free carries what
// the others append.
func BenchmarkSendShared(b *testing.B) {
	s, _, _ := openedSession(&parts{}, false, handlerModes["inline"])
	message := make([]byte, 64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Send(message); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// From a handler: what it sends gathers until it returns. A view of the message being
// handled is queued by reference, anything else is copied.
func BenchmarkSendFromHandler(b *testing.B) {
	other := make([]byte, 64)
	for what, message := range map[string]func(session.Frame) []byte{
		"view": func(f session.Frame) []byte { return f.Bytes() },
		"copy": func(session.Frame) []byte { return other },
	} {
		for _, messages := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/messages=%d", what, messages), func(b *testing.B) {
				h := session.HandlerFunc(func(s *session.Session, f session.Frame) {
					for range messages {
						if err := s.Send(message(f)); err != nil {
							b.Error(err)
						}
					}
				})
				driver, shared := thirstySession(h, handlerModes["inline"])
				segment := shared.Pool.Get(4096)
				in := segment.Bytes()[:64]
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					driver.Deliver(segment, in, 0)
					n += messages
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/message")
			})
		}
	}
}

// The way through a strand, from bytes that were read to the handler's return: a message,
// or a task that was posted. In mode inline a message needs no strand.
func BenchmarkStrand(b *testing.B) {
	for mode, change := range handlerModes {
		b.Run("message/"+mode, func(b *testing.B) {
			got := 0
			driver, shared := thirstySession(session.HandlerFunc(func(*session.Session, session.Frame) { got++ }), change)
			segment := shared.Pool.Get(4096)
			in := segment.Bytes()[:64]
			b.ReportAllocs()
			for b.Loop() {
				if driver.Deliver(segment, in, 0)&transport.Due != 0 {
					driver.Run(shared)
				}
			}
			if got == 0 {
				b.Fatal("no message came")
			}
		})
		b.Run("task/"+mode, func(b *testing.B) {
			s, driver, shared := openedSession(&parts{}, false, change)
			shared.TaskLimit = 1
			done := 0
			task := func() { done++ }
			b.ReportAllocs()
			posted := 0
			for b.Loop() {
				if err := s.Post(task); err != nil {
					b.Fatal(err)
				}
				posted++
				if driver.Status()&transport.Due != 0 {
					driver.Run(shared)
				}
			}
			if done != posted {
				b.Fatalf("%d of %d tasks ran", done, posted)
			}
		})
	}
}
