package load

import (
	"bytes"
	"testing"
	"time"
)

func TestWindowsContinueEachOther(t *testing.T) {
	p := newPattern()
	for _, step := range []int{1, 64, 1000, patternLength - 1, patternLength, windowMax} {
		whole := p.window(startOf(3), windowMax)
		at := startOf(3)
		for from := 0; from+step <= windowMax; from += step {
			if !bytes.Equal(p.window(at, step), whole[from:from+step]) {
				t.Fatalf("step %d: window at %d differs from the stream", step, from)
			}
			at = at.plus(step)
		}
	}
}

func TestConnectionsHaveStreamsOfTheirOwn(t *testing.T) {
	seen := map[position]int{}
	for i := range 20_000 {
		if before, ok := seen[startOf(i)]; ok {
			t.Fatalf("connections %d and %d start at the same place", before, i)
		}
		seen[startOf(i)] = i
	}
}

func TestSendTimesComeBackInOrder(t *testing.T) {
	c := conn{from: make([]int64, 4)}
	c.push(3, 10)
	c.push(1, 20)
	wantPop(t, &c, 2, 2, 10)
	c.push(2, 30) // over the end of the ring
	wantPop(t, &c, 4, 1, 10)
	wantPop(t, &c, 3, 1, 20)
	wantPop(t, &c, 2, 2, 30)
	if c.inFlight != 0 {
		t.Errorf("%d still in flight", c.inFlight)
	}
}

func wantPop(t *testing.T, c *conn, n, taken int, at int64) {
	t.Helper()
	if gotTaken, gotAt := c.pop(n); gotTaken != taken || gotAt != at {
		t.Errorf("pop(%d): %d of %d, want %d of %d", n, gotTaken, gotAt, taken, at)
	}
}

func TestHistogramKeepsItsBounds(t *testing.T) {
	h := newHistogram()
	h.record(time.Nanosecond, 1)
	h.record(123_456*time.Nanosecond, 7)
	h.record(time.Hour, 2)
	l := h.latency()
	if near := l.P50 - 123_456; near < -124 || near > 124 {
		t.Errorf("median %v, want 123.456µs to three digits", l.P50)
	}
	if l.Max != latencyMax {
		t.Errorf("maximum %v, want the upper bound", l.Max)
	}
}
