//go:build !race && !weirdebug

package session_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// What a session does without a kernel: the descriptors take everything.

func BenchmarkGroupSend(b *testing.B) {
	for _, members := range []int{1, 100, 1000} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("members=%d/batch=%d", members, batch), func(b *testing.B) {
				h, g := thirstyHall(b, members, false)
				message := make([]byte, 64)
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					if err := g.Send(message); err != nil {
						b.Fatal(err)
					}
					if n++; n%batch == 0 {
						h.run()
					}
				}
				h.run()
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*members), "ns/delivery")
			})
		}
	}
}

func BenchmarkFramedReceive(b *testing.B) {
	for mode, change := range handlerModes {
		for name, codec := range map[string]frame.Codec{"prefix": frame.Default(), "lines": frame.Lines()} {
			for _, frames := range []int{1, 100} {
				b.Run(fmt.Sprintf("%s/%s/frames=%d", mode, name, frames), func(b *testing.B) {
					got := 0
					h := session.HandlerFunc(func(_ *session.Session, f session.Frame) { got += f.Len() })
					driver, shared := thirstySession(session.Framed(h, codec), change)
					segment := shared.Pool.Get(64 << 10)
					one := string(bytes.Repeat([]byte("x"), 64))
					in := segment.Bytes()[:copy(segment.Bytes(), wire(b, codec, slices.Repeat([]string{one}, frames)...))]
					b.ReportAllocs()
					n := 0
					for b.Loop() {
						if driver.Deliver(segment, in, 0)&transport.Due != 0 {
							driver.Run(shared)
						}
						n += frames
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/frame")
				})
			}
		}
	}
}

// thirstySession is an open session whose kernel takes everything.
func thirstySession(h session.Handler, change func(*transport.Shared)) (session.Driver, *transport.Shared) {
	shared := &transport.Shared{
		Pool: buffer.NewPool(buffer.Config{}), LowWater: 1 << 16, HighWater: 1 << 30, Cap: 1 << 30, QueuedCap: 1 << 30,
		UnreadLimit: 64 << 10,
	}
	change(shared)
	link := thirstyLink{&fakeLink{shared: shared, refs: 1}}
	s := session.New(1, link, testPeer, time.Unix(100, 0), session.NewBehaviour(h))
	driver := session.Drive(s, transport.Key{})
	driver.Open()
	driver.Run(shared)
	return driver, shared
}

// BenchmarkDispatch is how long it takes from a frame's having been read to the handler,
// inline.
func BenchmarkDispatch(b *testing.B) {
	for _, framed := range []bool{false, true} {
		b.Run(fmt.Sprintf("framed=%v", framed), func(b *testing.B) {
			var entered time.Time
			var h session.Handler = session.HandlerFunc(func(*session.Session, session.Frame) { entered = time.Now() })
			in := make([]byte, 64)
			if framed {
				h, in = session.Framed(h, frame.Default()), wire(b, frame.Default(), string(in))
			}
			driver, shared := thirstySession(h, handlerModes["inline"])
			segment := shared.Pool.Get(4096)
			message := segment.Bytes()[:copy(segment.Bytes(), in)]
			var took latencies
			for b.Loop() {
				began := time.Now()
				driver.Deliver(segment, message, 0)
				took.add(entered.Sub(began))
			}
			took.report(b)
		})
	}
}

// heldLink takes everything, but the first write returns only when it is told to.
type heldLink struct {
	thirstyLink
	held    *bool
	in, out chan struct{}
}

func (l heldLink) Send(p []byte) (int, syscall.Errno) {
	if *l.held {
		l.in <- struct{}{}
		<-l.out
	}
	return len(p), 0
}

// BenchmarkSendWhileHeld is how long Send takes while somebody else writes: it is queued.
func BenchmarkSendWhileHeld(b *testing.B) {
	const gathers = 10_000 // messages for one who writes
	for _, framed := range []bool{false, true} {
		b.Run(fmt.Sprintf("framed=%v", framed), func(b *testing.B) {
			shared := &transport.Shared{
				Pool: buffer.NewPool(buffer.Config{}), LowWater: 1 << 16, HighWater: 1 << 30, Cap: 1 << 30, QueuedCap: 1 << 30,
			}
			link := heldLink{thirstyLink{&fakeLink{shared: shared, refs: 1}}, new(bool), make(chan struct{}), make(chan struct{})}
			var h session.Handler = &parts{}
			if framed {
				h = session.Framed(h, frame.Default())
			}
			s := session.New(1, link, testPeer, time.Unix(100, 0), session.NewBehaviour(h))
			session.Drive(s, transport.Key{}).Open()
			message := make([]byte, 64)
			var took latencies
			done := make(chan error)
			n := 0
			for b.Loop() {
				if n%gathers == 0 {
					*link.held = true
					go func() { done <- s.Send(message) }()
					<-link.in
					*link.held = false
				}
				began := time.Now()
				if err := s.Send(message); err != nil {
					b.Fatal(err)
				}
				took.add(time.Since(began))
				if n++; n%gathers == 0 {
					link.out <- struct{}{}
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
			}
			if n%gathers != 0 {
				link.out <- struct{}{}
				<-done
			}
			took.report(b)
		})
	}
}

// latencies are kept for percentiles, a million at most.
type latencies []time.Duration

func (l *latencies) add(d time.Duration) {
	if len(*l) < 1<<20 {
		*l = append(*l, d)
	}
}

// report tells percentiles, less what it takes to look at the clock twice.
func (l latencies) report(b *testing.B) {
	clock := make(latencies, 10_000)
	for i := range clock {
		began := time.Now()
		clock[i] = time.Since(began)
	}
	slices.Sort(clock)
	slices.Sort(l)
	at := func(p float64) float64 {
		return float64((l[int(p*float64(len(l)-1))] - clock[len(clock)/2]).Nanoseconds())
	}
	b.ReportMetric(at(0.50), "p50-ns")
	b.ReportMetric(at(0.99), "p99-ns")
	b.ReportMetric(at(0.999), "p99.9-ns")
	runtime.KeepAlive(clock)
}
