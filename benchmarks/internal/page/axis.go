package page

import (
	"math"
)

// axis maps values to places across the plot.
type axis struct {
	low, high float64
	log       bool
	from, to  float64 // places
}

// at is the place of a value; what lies outside is put at the end.
func (a axis) at(v float64) float64 {
	share := 0.0
	switch {
	case a.log && v > 0 && a.high > a.low:
		share = math.Log(v/a.low) / math.Log(a.high/a.low)
	case !a.log && a.high > a.low:
		share = (v - a.low) / (a.high - a.low)
	}
	return a.from + (a.to-a.from)*min(max(share, 0), 1)
}

// linear is an axis from 0 to a round number that is at least top, and its ticks.
func linear(top, from, to float64) (axis, []float64) {
	if !(top > 0) || math.IsInf(top, 0) {
		top = 1
	}
	step := roundUp(top / 4)
	a := axis{high: step * math.Ceil(top/step*(1-1e-9)), from: from, to: to}
	var ticks []float64
	for i := 0; float64(i)*step <= a.high*(1+1e-9); i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return a, ticks
}

// roundUp is the next of 1, 2, 2.5 or 5 times a power of ten.
func roundUp(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if x <= m*unit*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

// decades is a logarithmic axis that holds low and high, and its ticks: powers of ten,
// or 1, 2 and 5 if there are few of these.
func decades(low, high, from, to float64) (axis, []float64) {
	if !(low > 0) || !(high >= low) || math.IsInf(high, 0) {
		low, high = 1, 10
	}
	marks := []float64{1}
	if high/low < 300 {
		marks = []float64{1, 2, 5}
	}
	var all []float64
	for e := math.Floor(math.Log10(low)) - 1; e <= math.Ceil(math.Log10(high))+1; e++ {
		for _, m := range marks {
			all = append(all, m*math.Pow(10, e))
		}
	}
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= low*(1+1e-9) {
		first++
	}
	for last > 0 && all[last-1] >= high*(1-1e-9) {
		last--
	}
	if last <= first {
		last = first + 1
	}
	ticks := all[first : last+1]
	for len(ticks) > 6 { // labels must not touch
		ticks = everySecond(ticks)
	}
	return axis{low: all[first], high: all[last], log: true, from: from, to: to}, ticks
}

func everySecond(xs []float64) []float64 {
	var half []float64
	for i := 0; i < len(xs); i += 2 {
		half = append(half, xs[i])
	}
	return half
}
