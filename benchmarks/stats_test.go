package main

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		xs   []float64
		want float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 9, 2}, 3},
	}
	for _, test := range tests {
		before := append([]float64(nil), test.xs...)
		if got := median(test.xs); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.xs, got, test.want)
		}
		if !reflect.DeepEqual(append([]float64(nil), test.xs...), before) {
			t.Errorf("median changed its argument to %v", test.xs)
		}
	}
}

func TestBootstrapOfEqualValuesIsAPoint(t *testing.T) {
	if got := bootstrap([]float64{2, 2, 2, 2}); got != (interval{2, 2}) {
		t.Errorf("got %v", got)
	}
	if got := bootstrap(nil); got != (interval{}) {
		t.Errorf("got %v of nothing", got)
	}
}

func TestBootstrapIsTheSameEachTime(t *testing.T) {
	xs := []float64{0.9, 1.1, 1.0, 0.95, 1.2, 0.8, 1.05}
	first := bootstrap(xs)
	if second := bootstrap(xs); first != second {
		t.Errorf("%v, then %v", first, second)
	}
	if m := median(xs); first.Low > m || first.High < m || first.Low >= first.High {
		t.Errorf("interval %v around the median %v", first, m)
	}
}

// The interval should hold the true median in about 95 of 100 experiments. With
// 50 experiments, fewer than 85 of 100 or all of them would be a wrong interval.
func TestBootstrapCoversTheTrueMedian(t *testing.T) {
	if testing.Short() {
		t.Skip("4000 resamples of 50 experiments")
	}
	random := rand.New(rand.NewPCG(7, 7))
	const experiments = 50
	covered := 0
	for range experiments {
		xs := make([]float64, roundsForInterval)
		for i := range xs {
			xs[i] = 1 + 0.1*random.NormFloat64()
		}
		if r := bootstrap(xs); r.Low <= 1 && 1 <= r.High {
			covered++
		}
	}
	if share := float64(covered) / experiments; share < 0.85 || share == 1 {
		t.Errorf("%v of the intervals hold the true median", share)
	}
}

func TestRatiosPairRoundsAndSkipZeros(t *testing.T) {
	got := ratios([]float64{2, 3, 0, 8}, []float64{4, 0, 1, 2})
	if want := []float64{0.5, 4}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSlope(t *testing.T) {
	xs := []float64{2000, 6000, 10000, 14000, 18000}
	ys := make([]float64, len(xs))
	for i, x := range xs {
		ys[i] = 5<<20 + 207*x
	}
	if got := slope(xs, ys); math.Abs(got-207) > 1e-6 {
		t.Errorf("got %v, want 207", got)
	}
	if got := slope([]float64{1}, []float64{5}); got != 0 {
		t.Errorf("got %v of one point", got)
	}
}
