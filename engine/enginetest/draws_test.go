package enginetest

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// draws is a source of chance. Each part of a simulation has one of its own, made from
// the seed and the part's name: if one is left out, the others draw what they drew before.
type draws struct{ *rand.Rand }

func drawsOf(seed uint64, name string) draws {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return draws{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// chance is true with probability p.
func (d draws) chance(p float64) bool { return p > 0 && d.Float64() < p }

// upTo draws from 1 to n, and small numbers as often as large ones.
func (d draws) upTo(n int) int {
	if n <= 1 {
		return 1
	}
	limit := 1 << d.IntN(33)
	return 1 + d.IntN(min(n, limit))
}

// between draws from low to high on a logarithmic scale.
func (d draws) between(low, high int) int {
	n := low
	for n < high && d.IntN(8) != 0 {
		n *= 2
	}
	return min(high, n+d.IntN(n))
}

// within draws a time span.
func (d draws) within(limit time.Duration) time.Duration {
	return time.Duration(1 + d.Int64N(int64(limit)))
}

// span draws from low to high milliseconds on a logarithmic scale.
func (d draws) span(low, high int) time.Duration {
	return time.Duration(d.between(low, high)) * time.Millisecond
}

// pick draws one of some values.
func pick[T any](d draws, values ...T) T { return values[d.IntN(len(values))] }
