package main

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// flipsExact is up to how many pairs all ways to exchange partners are looked at; beyond,
// flipsDrawn are drawn.
const (
	flipsExact = 16
	flipsDrawn = 50_000
)

// exchangeTest is how likely it is that pairs differ by as much as xs and ys do, in
// either direction, if it were chance which of a pair is which: the share of all ways to
// exchange partners that give a mean logarithm of the ratio at least as far from 0. It is
// 1 if there is nothing to compare.
func exchangeTest(xs, ys []float64) float64 {
	var logs []float64
	for _, r := range ratios(xs, ys) {
		logs = append(logs, math.Log(r))
	}
	if len(logs) == 0 {
		return 1
	}
	sum := 0.0
	for _, l := range logs {
		sum += l
	}
	far := math.Abs(sum) * (1 - 1e-12) // equal sums in another order
	if len(logs) <= flipsExact {
		return exchangeAll(logs, far)
	}
	return exchangeSome(logs, far)
}

// exchangeAll goes through all signs in Gray code order, in which one changes at a time.
func exchangeAll(logs []float64, far float64) float64 {
	sum := 0.0
	for _, l := range logs {
		sum += l
	}
	signs := make([]bool, len(logs))
	hits, all := 0, 1<<len(logs)
	for i := 1; ; i++ {
		if math.Abs(sum) >= far {
			hits++
		}
		if i == all {
			return float64(hits) / float64(all)
		}
		k := bits.TrailingZeros(uint(i))
		if signs[k] {
			sum += 2 * logs[k]
		} else {
			sum -= 2 * logs[k]
		}
		signs[k] = !signs[k]
	}
}

// exchangeSome draws signs; the draws are the same in every run.
func exchangeSome(logs []float64, far float64) float64 {
	random := rand.New(rand.NewPCG(3, 4))
	hits := 1 // the one that was seen
	for range flipsDrawn {
		sum := 0.0
		for _, l := range logs {
			if random.Uint64()&1 == 0 {
				l = -l
			}
			sum += l
		}
		if math.Abs(sum) >= far {
			hits++
		}
	}
	return float64(hits) / (flipsDrawn + 1)
}

// holm corrects for having made that many comparisons: what is still below 0.05 then is
// so in less than one of twenty whole runs without any difference.
func holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case ps[a] < ps[b]:
			return -1
		case ps[a] > ps[b]:
			return 1
		default:
			return 0
		}
	})
	corrected := make([]float64, len(ps))
	least := 0.0
	for rank, i := range order {
		least = max(least, min(ps[i]*float64(len(ps)-rank), 1))
		corrected[i] = least
	}
	return corrected
}
