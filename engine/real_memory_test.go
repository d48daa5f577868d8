package engine_test

import (
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// TestMemoryStatsAddUp compares what the engine says of its memory with a load
// whose every byte is known: two clients that do not read, and one that is idle.
// That all of it is given back at the end is checked by launch.
func TestMemoryStatsAddUp(t *testing.T) {
	const first, second = 64 << 20, 48 << 20 // far more than the kernel holds
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), engine.WithUserTimeout(0))
	_, fat := v.open()
	_, thin := v.open()
	v.open()
	must(t, fat.Send(make([]byte, first)))
	must(t, thin.Send(make([]byte, second)))

	// The kernels take more for a while, as the clients' windows grow.
	var st engine.Stats
	var a, b session.Stats
	until(t, "the books at rest", func() bool {
		a, b = fat.Stats(), thin.Stats()
		st = v.engine.Stats()
		return a == fat.Stats() && b == thin.Stats() && st.Queued == int64(a.Queued+b.Queued)
	})
	if a.Queued <= b.Queued || b.Queued == 0 || a.Queued+int(a.BytesOut) != first || b.Queued+int(b.BytesOut) != second {
		t.Fatalf("of %d and %d bytes, %d and %d are queued and %d and %d sent", first, second, a.Queued, b.Queued, a.BytesOut, b.BytesOut)
	}
	total := int64(a.Queued + b.Queued)
	m := st.Memory
	if m.QueuedAverage != total/3 {
		t.Errorf("queued %d on average, want %d", m.QueuedAverage, total/3)
	}
	if m.QueuedMax != int64(a.Queued) || m.QueuedMaxID != fat.ID() {
		t.Errorf("session %x has most, %d bytes; want %x with %d", m.QueuedMaxID, m.QueuedMax, fat.ID(), a.Queued)
	}
	// What the kernel did not take is copied to a segment per session, of the
	// next size class at most; each loop has one more to read into.
	most := 2*total + 2*64<<10
	if held := m.Buffers.InUse; held < total || held > most {
		t.Errorf("%d bytes of buffers in use for %d queued; want at most %d", held, total, most)
	}
	if m.Buffers.Peak < m.Buffers.InUse || m.Buffers.Allocated < total || m.Buffers.Segments < 3 {
		t.Errorf("books do not add up: %+v", m.Buffers)
	}
}
