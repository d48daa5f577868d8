package engine_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// stampingSockets notes when a read has brought something.
type stampingSockets struct {
	sock.System
	start  time.Time
	readAt *atomic.Int64
}

func (s stampingSockets) Recv(fd int, p []byte) (int, syscall.Errno) {
	n, errno := s.System.Recv(fd, p)
	if n > 0 {
		s.readAt.Store(int64(time.Since(s.start)))
	}
	return n, errno
}

// BenchmarkDispatch measures the time from a read's return on the loop to the handler's
// entry, of a framed message over a real socket, one at a time. Looking at the clock
// costs some tens of nanoseconds of it.
func BenchmarkDispatch(b *testing.B) {
	for _, mode := range []engine.Mode{engine.Inline, engine.Pool} {
		b.Run(mode.String(), func(b *testing.B) {
			start := time.Now()
			var readAt atomic.Int64
			var took []time.Duration
			h := session.HandlerFunc(func(s *session.Session, f session.Frame) {
				took = append(took, time.Since(start)-time.Duration(readAt.Load()))
				_ = s.Send(f.Bytes())
			})
			sockets := stampingSockets{sock.Kernel(), start, &readAt}
			e, err := engine.New(engine.WithMode(mode), engine.WithLogger(engine.NoLog{}), engine.WithDeps(inject.Deps{Sockets: sockets}))
			must(b, err)
			b.Cleanup(func() { _ = e.Close() })
			l, err := e.Listen("tcp4", "127.0.0.1:0", session.Framed(h, frame.Lines()))
			must(b, err)
			c := dialTo(b, l.Addr())
			message := make([]byte, 64)
			message[63] = '\n'
			for b.Loop() {
				if _, err := c.Write(message); err != nil {
					b.Fatal(err)
				}
				mustRead(b, c, string(message))
			}
			slices.Sort(took)
			for _, p := range []int{50, 99} {
				b.ReportMetric(float64(took[len(took)*p/100]), fmt.Sprintf("p%d-ns", p))
			}
		})
	}
}
