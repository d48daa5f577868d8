package main

import (
	"math/rand/v2"
	"slices"
)

// median of xs, which stays as it is; 0 of none.
func median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	return medianSorted(slices.Sorted(slices.Values(xs)))
}

func medianSorted(xs []float64) float64 {
	middle := len(xs) / 2
	if len(xs)%2 == 1 {
		return xs[middle]
	}
	return (xs[middle-1] + xs[middle]) / 2
}

// interval is a range of plausible values.
type interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

const (
	resamples  = 4000
	confidence = 0.95
)

// bootstrap is the 95 % interval of the median of xs: the medians of many samples
// drawn from xs with replacement, less the outer 2.5 % on each side. The draws are
// the same in every run.
func bootstrap(xs []float64) interval {
	if len(xs) == 0 {
		return interval{}
	}
	random := rand.New(rand.NewPCG(1, 2))
	sample := make([]float64, len(xs))
	medians := make([]float64, resamples)
	for i := range medians {
		for j := range sample {
			sample[j] = xs[random.IntN(len(xs))]
		}
		slices.Sort(sample)
		medians[i] = medianSorted(sample)
	}
	slices.Sort(medians)
	outer := int(resamples * (1 - confidence) / 2)
	return interval{Low: medians[outer], High: medians[resamples-1-outer]}
}

// ratios divides each of xs by its partner in ys; pairs with a zero are left out.
func ratios(xs, ys []float64) []float64 {
	var rs []float64
	for i := range min(len(xs), len(ys)) {
		if xs[i] != 0 && ys[i] != 0 {
			rs = append(rs, xs[i]/ys[i])
		}
	}
	return rs
}

// slope is by how much y grows with x: the line through all points with the least
// squares of errors.
func slope(xs, ys []float64) float64 {
	n := float64(len(xs))
	var sumX, sumY, sumXY, sumXX float64
	for i := range xs {
		sumX += xs[i]
		sumY += ys[i]
		sumXY += xs[i] * ys[i]
		sumXX += xs[i] * xs[i]
	}
	spread := n*sumXX - sumX*sumX
	if spread == 0 {
		return 0
	}
	return (n*sumXY - sumX*sumY) / spread
}
