package engine

// What it costs to hand something to another goroutine: to a loop through its mailbox, to
// workers through the run queue. Nothing here enters the kernel, except to wake.

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// From as many goroutines as there are processors, each with conns of its own, to a loop
// that sleeps when nothing waits. Each lets others run when all of its conns wait. Only the
// first letter to a sleeper wakes it.
func BenchmarkMailboxPosters(b *testing.B) {
	const conns = 64
	m, woken := newTestMailbox(0)
	var quit atomic.Bool
	ended := make(chan struct{})
	wakes, taken := 0, 0
	go func() {
		defer close(ended)
		for !quit.Load() {
			if m.sleep() {
				<-woken
				wakes++
			}
			m.awake()
			m.answer()
			for c := m.takeConns(); c != nil; taken++ {
				following := c.next
				c.posted.Store(notPosted)
				c = following
			}
		}
	}()
	b.RunParallel(func(pb *testing.PB) {
		all := make([]conn, conns)
		for i := 1; pb.Next(); i++ {
			m.post(&all[i%conns])
			if i%conns == 0 {
				runtime.Gosched()
			}
		}
	})
	quit.Store(true)
	m.knock()
	<-ended
	b.ReportMetric(float64(wakes)/float64(b.N), "wakes/op")
	b.ReportMetric(float64(taken)/float64(b.N), "taken/op")
}

// lonelyLink is a link whose descriptor nobody asks for.
type lonelyLink struct {
	transport.Link
	shared *transport.Shared
}

func (l lonelyLink) Shared() *transport.Shared { return l.shared }
func (lonelyLink) Attend()                     {}

// A turn's sessions, with one task each, from the loop's handing them over until the last
// handler has returned.
func BenchmarkRunQueue(b *testing.B) {
	for _, sessions := range []int{1, 32, 1000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			executor, err := newAntsWorkers(2 * maxWorkers) // also while workers are on their way back
			if err != nil {
				b.Fatal(err)
			}
			defer executor.stop(time.Second)
			shared := &transport.Shared{Pool: buffer.NewPool(buffer.Config{}), Pooled: true, TaskLimit: 1}
			rest := make(chan struct{}, 1)
			q := newRunQueue(shared, executor, func() { rest <- struct{}{} })
			due := make([]*session.Session, sessions)
			for i := range due {
				due[i] = session.New(uint64(i), lonelyLink{shared: shared}, netip.AddrPort{}, time.Time{}, session.NewBehaviour(nil))
			}
			var ran atomic.Int64
			task := func() { ran.Add(1) }
			b.ReportAllocs()
			turns := 0
			for b.Loop() {
				for _, s := range due {
					if err := s.Post(task); err != nil {
						b.Fatal(err)
					}
					if session.Drive(s, transport.Key{}).Status()&transport.Due == 0 {
						b.Fatal("a session with a task is not due")
					}
				}
				q.add(due)
				<-rest
				turns++
			}
			if got := ran.Load(); got != int64(turns*sessions) {
				b.Fatalf("%d tasks ran of %d", got, turns*sessions)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(turns*sessions), "ns/session")
		})
	}
}
