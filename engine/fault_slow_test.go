package engine_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// TestFaultNeverReads is a client that sends and sends and never reads the echo.
// Reading from it pauses, memory stays, the stall deadline ends it, and others
// notice nothing.
func TestFaultNeverReads(t *testing.T) {
	const others, growthMax = 100, 8 << 20
	total := amount(256<<20, 256<<20, 64<<20)
	stall := amount(3*time.Second, 300*time.Millisecond, 300*time.Millisecond)
	p, full := newProbe(), make(chan struct{}, 1)
	p.onMessage = func(s *session.Session, f session.Frame) { // who looks from outside may be too late: after the deadline nothing is queued
		_ = s.Send(f.Bytes())
		if s.Stats().Queued >= 256<<10 {
			select {
			case full <- struct{}{}:
			default:
			}
		}
	}
	v := serve(t, "tcp4", p, engine.WithLoops(2), engine.WithStallTimeout(stall))

	var trips atomic.Int64
	var worst atomic.Int64
	done := make(chan struct{})
	leave := sync.OnceFunc(func() { close(done) })
	var all sync.WaitGroup
	for range others {
		c, _ := v.open()
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					took, err := roundTrip(c)
					if err != nil {
						t.Errorf("another client: %v", err)
						return
					}
					trips.Add(1)
					for seen := worst.Load(); took > seen && !worst.CompareAndSwap(seen, took); seen = worst.Load() {
					}
				}
			}
		})
	}
	defer all.Wait()
	defer leave()
	until(t, "others at work", func() bool { return trips.Load() > 2*others })

	heap := heapInUse()
	peak := v.engine.Stats().Memory.Buffers.Peak
	before := trips.Load()
	c, greedy := v.open()
	wrote := make(chan error, 1)
	began := time.Now()
	go func() {
		piece := make([]byte, 64<<10)
		for n := 0; n < total; n += len(piece) {
			if _, err := c.Write(piece); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- fmt.Errorf("the server took all %d bytes", total)
	}()
	await(t, "output above high water", full)
	grown := int64(heapInUse()) - int64(heap)
	reason := v.awaitClose(session.ReasonSlowConsumer)
	took := time.Since(began)
	served := trips.Load() - before
	leave()

	if err := await(t, "the client's write fails", wrote); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the client's write: %v, want ECONNRESET", err)
	}
	st := v.engine.Stats()
	queuedPeak := st.Memory.Buffers.Peak - peak
	t.Logf("closed after %v; heap grew by %d KiB, buffers by %d KiB; %d round trips of %d others, the slowest %v",
		took, grown>>10, queuedPeak>>10, served, others, time.Duration(worst.Load()))
	if queuedPeak > growthMax {
		t.Errorf("buffers grew by %d bytes", queuedPeak)
	}
	if grown > growthMax {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if took < stall {
		t.Errorf("closed after %v, before the stall deadline of %v", took, stall)
	}
	if reason.Unsent == 0 {
		t.Error("nothing was unsent")
	}
	if got := greedy.Stats().BytesIn; got >= uint64(total) {
		t.Errorf("all %d bytes were read: reading did not pause", got)
	}
	if served < others {
		t.Errorf("%d others made %d round trips meanwhile", others, served)
	}
}

// roundTrip is one echo, in nanoseconds.
func roundTrip(c stream) (int64, error) {
	began := time.Now()
	var one [64]byte
	if _, err := c.Write(one[:]); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, one[:])
	return int64(time.Since(began)), err
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
