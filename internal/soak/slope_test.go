//go:build linux

package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestTheilSenOfALine(t *testing.T) {
	xs, ys := []float64{0, 1, 2, 5, 9}, []float64{3, 5, 7, 13, 21}
	if got := theilSen(xs, ys); got != 2 {
		t.Errorf("slope %v, want 2", got)
	}
	if got := slopeInterval(xs, ys); got.low != 2 || got.high != 2 {
		t.Errorf("interval %v, want 2 to 2", got)
	}
}

// A few points that are far off, as when a machine was busy, hardly change the slope.
func TestTheilSenBearsOutliers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var xs, ys []float64
	for i := range 60 {
		y := 10 + 0.5*float64(i) + random.NormFloat64()
		if i%10 == 9 {
			y += 1000 * random.Float64()
		}
		xs, ys = append(xs, float64(i)), append(ys, y)
	}
	if got := theilSen(xs, ys); math.Abs(got-0.5) > 0.05 {
		t.Errorf("slope %v, want 0.5", got)
	}
	if got := slopeInterval(xs, ys); got.low > 0.5 || got.high < 0.5 || got.high-got.low > 0.4 {
		t.Errorf("interval %v of a slope of 0.5", got)
	}
}

// Noise without a slope seldom seems to have one, also if neighbours are alike, as they
// are when something else keeps the machine busy for a while.
func TestSlopeIntervalHoldsZero(t *testing.T) {
	const soaks = 60
	outside := 0
	for seed := range uint64(soaks) {
		random := rand.New(rand.NewPCG(seed, 1))
		var xs, ys []float64
		drift := 0.0
		for i := range 30 {
			drift = 0.5*drift + random.NormFloat64()
			xs, ys = append(xs, float64(i)), append(ys, drift)
		}
		if got := slopeInterval(xs, ys); got.low > 0 {
			outside++
		}
	}
	if outside > soaks/10 { // 2.5 % of independent noise
		t.Errorf("%d of %d soaks without a slope seem to have one", outside, soaks)
	}
}

func TestSlopeOfFewPoints(t *testing.T) {
	for n := range 3 {
		xs, ys := []float64{0, 1}[:min(n, 2)], []float64{0, 1}[:min(n, 2)]
		want := 0.0
		if n == 2 {
			want = 1
		}
		if got := theilSen(xs, ys); got != want {
			t.Errorf("%d points: slope %v, want %v", n, got, want)
		}
		if got := slopeInterval(xs, ys); got.low > want || got.high < want {
			t.Errorf("%d points: interval %v", n, got)
		}
	}
}

func TestThinKeepsTheSlope(t *testing.T) {
	var xs, ys []float64
	for i := range 1001 {
		xs, ys = append(xs, float64(i)), append(ys, 7*float64(i))
	}
	thinX, thinY := thin(xs, ys, 150)
	if len(thinX) > 150 || len(thinX) < 100 || len(thinX) != len(thinY) {
		t.Fatalf("%d and %d points", len(thinX), len(thinY))
	}
	if got := theilSen(thinX, thinY); got != 7 {
		t.Errorf("slope %v, want 7", got)
	}
	if same, _ := thin(xs[:150], ys[:150], 150); len(same) != 150 {
		t.Errorf("%d points of 150", len(same))
	}
}

func TestMedian(t *testing.T) {
	xs := []float64{5, 1, 3}
	if median(xs) != 3 || xs[0] != 5 || median([]float64{4, 1, 2, 3}) != 2.5 || median(nil) != 0 {
		t.Errorf("medians %v, %v, %v", median(xs), median([]float64{4, 1, 2, 3}), median(nil))
	}
}
