package engine_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// Fault 49: what a shutdown owes to many peers, and how fast it gives up on them.

// debtor is a session with output that its peer has not read.
type debtor struct {
	stream
	session *session.Session
	sum     hash.Hash // of what was sent
	bytes   int64
}

// debtors connects them. The server's kernel takes little of what they are sent.
func (v *server) debtors(n int) (all []*debtor) {
	v.t.Helper()
	for range n {
		c, opened := v.open()
		all = append(all, &debtor{stream: c, session: opened, sum: sha256.New()})
	}
	return all
}

// owe sends messages of 64 KiB until that much is queued beside what the kernel took,
// and what it may still take.
func (d *debtor) owe(t *testing.T, queued int) {
	t.Helper()
	const mayLeave = 512 << 10
	source := pattern(d.session.ID())
	message := make([]byte, 64<<10)
	for d.session.Stats().Queued < queued+mayLeave {
		_, _ = io.ReadFull(source, message) // a pattern has no end and no errors
		d.sum.Write(message)
		d.bytes += int64(len(message))
		must(t, d.session.Send(message))
	}
}

// collect reads to the end, in turns with others if there are any, and compares.
func (d *debtor) collect(turn chan struct{}) error {
	got := counter{to: sha256.New()}
	buffer := make([]byte, 8<<10)
	for {
		if turn != nil {
			turn <- struct{}{}
		}
		n, err := d.Read(buffer)
		if turn != nil {
			<-turn
		}
		_, _ = got.Write(buffer[:n]) // a hash has no errors
		switch {
		case errors.Is(err, io.EOF):
			return sameSum(got.n, d.bytes, got.to.(hash.Hash), d.sum)
		case err != nil:
			return err
		}
	}
}

// TestFault49DrainDeliversAll shuts down with 1 MiB queued to each of 100 peers. One
// half reads a little, each in its turn; the other begins when the shutdown has.
func TestFault49DrainDeliversAll(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline} {
		t.Run(mode.String(), func(t *testing.T) {
			const queued = 1 << 20
			peers := amount(100, 100, 25)
			v := serve(t, "tcp4", newProbe(), engine.WithMode(mode), engine.WithLoops(2), withTinyOutput())
			all := v.debtors(peers)
			for _, d := range all {
				d.owe(t, queued)
			}
			if st := v.engine.Stats(); st.Queued < int64(peers*queued) {
				t.Errorf("%d bytes are queued, want at least %d", st.Queued, peers*queued)
			}
			shut := make(chan error, 1)
			began := time.Now()
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				shut <- v.engine.Shutdown(ctx)
			}()
			var readers sync.WaitGroup
			collect := func(some []*debtor, turn chan struct{}) {
				for _, d := range some {
					readers.Go(func() {
						defer d.Close()
						if err := d.collect(turn); err != nil {
							t.Errorf("a peer that was sent %d bytes: %v", d.bytes, err)
						}
					})
				}
			}
			collect(all[:peers/2], make(chan struct{}, 1))
			until(t, "all drain", func() bool {
				for _, d := range all {
					if d.session.State() == session.Open {
						return false
					}
				}
				return true
			})
			collect(all[peers/2:], nil)
			readers.Wait()
			must(t, await(t, "Shutdown", shut))
			t.Logf("%d peers with 1 MiB queued each had all of it after %v", peers, time.Since(began).Round(time.Millisecond))
			for range peers {
				if reason := v.awaitClose(session.ReasonShutdown); reason.Unsent != 0 {
					t.Errorf("%d bytes unsent, want 0", reason.Unsent)
				}
			}
		})
	}
}

// TestFault49ExpiredContext ends the context of a shutdown that waits for 100 peers
// with 1 MiB queued each, and in one variant for a handler of each, which do not return
// before the test lets them. Everything ends at once all the same.
func TestFault49ExpiredContext(t *testing.T) {
	for name, blocked := range map[string]bool{"peers do not read": false, "handlers block, too": true} {
		t.Run(name, func(t *testing.T) {
			const queued = 1 << 20
			peers := amount(100, 100, 25)
			limit := time.Second // generous: what it took is logged
			if raceEnabled || debugBuild {
				limit = patience // looking at 150 MiB of released buffers takes longer
			}
			g, p := newGate(), newProbe()
			p.onMessage = func(*session.Session, session.Frame) { g.pass() }
			v := serve(t, "tcp4", p, pool, engine.WithLoops(2), withTinyOutput())
			all := v.debtors(peers)
			if blocked {
				for _, d := range all {
					_, err := io.WriteString(d, "x")
					must(t, err)
				}
				for range peers {
					await(t, "a handler that blocks", g.entered)
				}
			}
			for _, d := range all {
				d.owe(t, queued)
			}
			ctx, expire := context.WithCancel(context.Background())
			shut := make(chan error, 1)
			go func() { shut <- v.engine.Shutdown(ctx) }()
			until(t, "Shutdown waits", func() bool {
				_, err := v.engine.Listen("tcp4", "127.0.0.1:0", p)
				return errors.Is(err, engine.ErrStopped)
			})

			expired := time.Now()
			expire()
			seen := make(chan time.Duration, peers)
			for _, d := range all {
				go func() {
					mustReset(t, d)
					seen <- time.Since(expired)
				}()
			}
			err := await(t, "Shutdown", shut)
			returned := time.Since(expired)
			var ended time.Duration
			for range peers {
				ended = max(ended, await(t, "the end of a peer", seen))
			}
			t.Logf("Shutdown returned %v after its context had expired, the last of %d peers saw its end after %v",
				returned.Round(time.Microsecond), peers, ended.Round(time.Microsecond))
			if returned > limit || ended > limit {
				t.Errorf("that is more than %v", limit)
			}
			if !errors.Is(err, context.Canceled) || errors.Is(err, engine.ErrAbandoned) != blocked {
				t.Errorf("Shutdown: %v; want context.Canceled, and ErrAbandoned: %v", err, blocked)
			}
			if n := v.engine.Stats().Handlers; blocked && n != peers {
				t.Errorf("%d handlers are at work, want %d: nobody let them go", n, peers)
			}
			close(g.open)
			for range peers {
				if reason := v.awaitClose(session.ReasonShutdown); reason.Unsent < queued {
					t.Errorf("%d bytes unsent, want at least %d of each", reason.Unsent, queued)
				}
			}
		})
	}
}
