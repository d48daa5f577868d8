package engine_test

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/load"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// What sessions cost that do nothing. The server is this process; the clients are
// another one, since each may have 20,000 descriptors open.

// idleServer is an engine as users run it, with its clients.
func idleServer(t *testing.T, h session.Handler) (*engine.Engine, *load.IdleChild) {
	t.Helper()
	if !*big {
		t.Skip("takes minutes and 20,000 descriptors: runs with -big")
	}
	e, err := engine.New(engine.WithLogger(engine.NoLog{}))
	must(t, err)
	t.Cleanup(func() { check(t, e.Close()) })
	l, err := e.Listen("tcp", "127.0.0.1:0", h)
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	t.Setenv(roleVariable, "load")
	clients, err := load.StartIdle(context.Background(), exe, roleArgs, l.Addr().String())
	must(t, err)
	t.Cleanup(func() { clients.Close() })
	return e, clients
}

// memory is what a process takes, in bytes.
type memory struct{ resident, heap int64 }

func readMemory(t *testing.T, forced bool) memory {
	t.Helper()
	if forced {
		runtime.GC()
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{residentBytes(t), int64(m.HeapInuse)}
}

// TestBigIdleMemory measures memory per idle session, after one echo on each, as
// the slope from 2,000 to 18,000.
func TestBigIdleMemory(t *testing.T) {
	bytes, err := frame.NewFixed(1) // so that any echo is made of frames
	must(t, err)
	t.Run("raw", func(t *testing.T) { idleMemory(t, newEcho(), 300) })
	t.Run("framed", func(t *testing.T) { idleMemory(t, session.Framed(newEcho(), bytes), 350) })
}

func idleMemory(t *testing.T, h session.Handler, most int64) {
	const few, many = 2000, 18_000
	e, clients := idleServer(t, h)
	measure := func(conns int) (unforced, forced memory) {
		must(t, clients.Grow(conns))
		until(t, "all open", func() bool { return e.Stats().Sessions == conns })
		return readMemory(t, false), readMemory(t, true)
	}
	unforced1, forced1 := measure(few)
	unforced2, forced2 := measure(many)
	slope := func(from, to int64) int64 { return (to - from) / (many - few) }
	resident, heap := slope(forced1.resident, forced2.resident), slope(forced1.heap, forced2.heap)
	without := slope(unforced1.resident, unforced2.resident)
	t.Logf("bytes per idle session: resident %d, heap %d after a forced GC; resident %d, heap %d without",
		resident, heap, without, slope(unforced1.heap, unforced2.heap))
	if resident > most || heap > most {
		t.Errorf("%d bytes resident and %d of heap per idle session, want at most %d", resident, heap, most)
	}
	if without > most*3/2 {
		t.Errorf("%d bytes resident per idle session without a forced GC, want at most %d", without, most*3/2)
	}
	took, err := clients.Probe()
	must(t, err)
	t.Logf("a new connection beside %d idle ones echoes after %v", many, took)
	if disturbed, err := clients.Disturbed(); err != nil || disturbed != 0 {
		t.Errorf("%d connections were disturbed, %v", disturbed, err)
	}
}

// TestBigSilentCPU measures what 10,000 silent sessions cost in processor time.
func TestBigSilentCPU(t *testing.T) {
	const period = 10 * time.Second
	e, clients := idleServer(t, newEcho())
	must(t, clients.Grow(10_000))
	until(t, "all open", func() bool { return e.Stats().Sessions == 10_000 })
	runtime.GC()
	before := ownCPU(t)
	<-time.After(period)
	used := ownCPU(t) - before
	t.Logf("10,000 silent sessions: %v of processor time in %v, %.2f %%", used, period, 100*float64(used)/float64(period))
	if used > period/200 {
		t.Errorf("%v of processor time in %v, want at most 0.5 %%", used, period)
	}
}

// ownCPU is the processor time that this process has used.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
