package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// Fault 10: two workers and a hundred handlers that block.

const exhausted = 2 // workers

// exhaustedPools are executors with room for that many handlers.
func exhaustedPools(t *testing.T) map[string]engine.Option {
	return map[string]engine.Option{
		"own pool":          engine.WithPoolSize(exhausted),
		"pool that blocks":  engine.WithPool(newAnts(t, exhausted, false)),
		"pool that refuses": engine.WithPool(newAnts(t, exhausted, true)),
	}
}

// TestFault10LoopsDoNotWaitForWorkers: no handler returns, and the loops go on. They
// accept, read, close and take orders; another engine notices nothing. Nothing is lost.
func TestFault10LoopsDoNotWaitForWorkers(t *testing.T) {
	for name, executor := range exhaustedPools(t) {
		t.Run(name, func(t *testing.T) {
			const conns, jobs = 100, 3
			unrelated := serve(t, "tcp4", newProbe(), engine.WithMode(engine.Inline), engine.WithLoops(1))
			bystander := unrelated.dial()
			mustEcho(t, bystander, "is accepted")
			g, p := newGate(), newProbe()
			p.onMessage = func(s *session.Session, f session.Frame) {
				g.pass()
				check(t, s.Send(f.Bytes()))
			}
			v := serve(t, "tcp4", p, pool, engine.WithLoops(2), executor)
			var clients []stream
			for range conns {
				c, _ := v.open()
				clients = append(clients, c)
			}
			victim, aborted := v.open()
			want := ""
			for job := range jobs {
				want += fmt.Sprint("job ", job, ";")
				for _, c := range clients {
					_, err := fmt.Fprint(c, "job ", job, ";")
					must(t, err)
				}
			}
			for range exhausted {
				await(t, "a handler that blocks", g.entered)
			}

			var st engine.Stats
			until(t, "all others wait, and all was read", func() bool {
				st = v.engine.Stats()
				return st.Waiting == conns-exhausted && st.BytesIn == uint64(conns*len(want))
			})
			if st.Handlers != exhausted {
				t.Errorf("%d handlers at work, want %d", st.Handlers, exhausted)
			}
			v.dial()
			until(t, "another connection is open", func() bool { return v.engine.Stats().Opened == conns+2 })
			must(t, aborted.Abort())
			mustReset(t, victim)
			must(t, v.listen("tcp4", p).Close()) // waits for a loop
			mustEcho(t, bystander, "unhurt")

			close(g.open)
			for _, c := range clients {
				mustRead(t, c, want)
			}
			v.awaitClose(session.ReasonAborted)
		})
	}
}

// TestFault10WorkersWaitForLoops: handlers wait for room, which loops make, with all
// workers. Loops need none of these, so all get on.
func TestFault10WorkersWaitForLoops(t *testing.T) {
	for name, executor := range exhaustedPools(t) {
		t.Run(name, func(t *testing.T) {
			const conns, pieces, piece = 100, 4, 64 << 10
			p := newProbe()
			entered := make(chan struct{}, conns)
			p.onMessage = func(s *session.Session, f session.Frame) {
				entered <- struct{}{}
				for range pieces {
					check(t, s.SendContext(t.Context(), bytes.Repeat(f.Bytes(), piece)))
				}
			}
			v := serve(t, "tcp4", p, pool, engine.WithLoops(2), executor,
				engine.WithOutbound(16<<10, 32<<10, 64<<10), withTinyOutput())
			var clients []stream
			for i := range conns {
				c := v.dial()
				_, err := c.Write([]byte{byte(i)})
				must(t, err)
				clients = append(clients, c)
			}
			for range exhausted {
				await(t, "a handler", entered)
			}
			until(t, "all workers wait for room", func() bool { return v.engine.Stats().Queued >= exhausted*32<<10 })
			if n := len(entered); n != 0 {
				t.Errorf("%d handlers more run", n)
			}
			var all sync.WaitGroup
			for i, c := range clients {
				all.Go(func() {
					got := make([]byte, pieces*piece)
					if _, err := io.ReadFull(c, got); err != nil {
						t.Errorf("client %d: %v", i, err)
					} else if bytes.Count(got, []byte{byte(i)}) != len(got) {
						t.Errorf("client %d got others' bytes", i)
					}
				})
			}
			all.Wait()
		})
	}
}
