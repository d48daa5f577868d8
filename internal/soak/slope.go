//go:build linux

package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// interval is a range of plausible values.
type interval struct{ low, high float64 }

const (
	resamples  = 200
	confidence = 0.95

	// pointsMax bounds how many points a slope is made of, since each pair of them
	// counts. More are thinned out.
	pointsMax = 100
)

// theilSen is by how much y grows with x: the median of the slopes of all pairs of
// points, which points far off hardly change. X must increase. No points, no slope: 0.
func theilSen(xs, ys []float64) float64 {
	slopes := make([]float64, 0, len(xs)*(len(xs)-1)/2)
	return slopeInto(slopes, xs, ys)
}

// slopeInto is theilSen with room for the slopes. Points with the same x make no pair.
func slopeInto(slopes, xs, ys []float64) float64 {
	slopes = slopes[:0]
	for i := range xs {
		for j := range i {
			if run := xs[i] - xs[j]; run != 0 {
				slopes = append(slopes, (ys[i]-ys[j])/run)
			}
		}
	}
	slices.Sort(slopes)
	return medianSorted(slopes)
}

// slopeInterval is the 95 % interval of theilSen: of the slopes of many samples that are
// drawn from the points with replacement, less the outer 2.5 % on each side. Points are
// drawn in blocks of neighbours, since what disturbs a machine lasts longer than from one
// point to the next. The draws are the same in every run.
func slopeInterval(xs, ys []float64) interval {
	n := len(xs)
	if n < 2 {
		return interval{}
	}
	random := rand.New(rand.NewPCG(1, 2))
	block := int(math.Ceil(math.Cbrt(float64(n))))
	drawnX, drawnY := make([]float64, 0, n+block), make([]float64, 0, n+block)
	room := make([]float64, 0, n*(n-1)/2)
	slopes := make([]float64, resamples)
	for i := range slopes {
		drawnX, drawnY = drawnX[:0], drawnY[:0]
		for len(drawnX) < n {
			at := random.IntN(n - block + 1)
			drawnX = append(drawnX, xs[at:at+block]...)
			drawnY = append(drawnY, ys[at:at+block]...)
		}
		slopes[i] = slopeInto(room, drawnX[:n], drawnY[:n])
	}
	slices.Sort(slopes)
	outer := int(resamples * (1 - confidence) / 2)
	return interval{slopes[outer], slopes[resamples-1-outer]}
}

// thin makes no more than most points of xs and ys: the medians of neighbours.
func thin(xs, ys []float64, most int) (thinX, thinY []float64) {
	each := (len(xs) + most - 1) / most
	if each <= 1 {
		return xs, ys
	}
	for from := 0; from < len(xs); from += each {
		to := min(from+each, len(xs))
		thinX = append(thinX, median(xs[from:to]))
		thinY = append(thinY, median(ys[from:to]))
	}
	return thinX, thinY
}

// median of xs, which stays as it is; 0 of none.
func median(xs []float64) float64 {
	sorted := slices.Clone(xs)
	slices.Sort(sorted)
	return medianSorted(sorted)
}

func medianSorted(xs []float64) float64 {
	middle := len(xs) / 2
	switch {
	case len(xs) == 0:
		return 0
	case len(xs)%2 == 1:
		return xs[middle]
	}
	return (xs[middle-1] + xs[middle]) / 2
}
