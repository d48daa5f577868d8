package main

import (
	"math"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// aspect is one respect in which contenders are compared.
type aspect struct {
	name string
	of   func(observation) float64
	less bool // less is better
}

var (
	throughput = aspect{"throughput", func(o observation) float64 { return o.perSecond }, false}
	tail       = aspect{"p99", func(o observation) float64 { return float64(o.latency.P99) }, true}
	farTail    = aspect{"p99.9", func(o observation) float64 { return float64(o.latency.P999) }, true}
	processor  = aspect{"server CPU", observation.cpu, true}
)

// mainAspect is what decides a test.
func mainAspect(test string) aspect {
	if test == openTest || test == paceTest {
		return tail
	}
	return throughput
}

// field are the observations of one cell, by contender.
type field struct {
	test, cell string
	names      []string // the base first
	rounds     map[string][]observation
}

func (r *results) field(test, cell string) field {
	return field{test, cell, r.contenders(test, cell), byContender(r.of(test, cell))}
}

// fields are all cells of all tests.
func (r *results) fields() []field {
	var all []field
	for _, test := range r.tests() {
		for _, cell := range r.cells(test) {
			all = append(all, r.field(test, cell))
		}
	}
	return all
}

// middle is the median of one contender.
func (f field) middle(name string, a aspect) float64 {
	var xs []float64
	for _, o := range f.rounds[name] {
		xs = append(xs, a.of(o))
	}
	return median(xs)
}

// best is the contender among those that may, who is best by its median; empty if none is.
func (f field) best(a aspect, may func(name string) bool) string {
	best, value := "", 0.0
	for _, name := range f.names {
		if v := f.middle(name, a); may(name) && v > 0 && (best == "" || (v < value) == a.less) {
			best, value = name, v
		}
	}
	return best
}

// ratio is x to y, in the same rounds.
func (f field) ratio(x, y string, a aspect) ratio {
	return pair(f.rounds[x], f.rounds[y], a.of)
}

// advantage is by how much x is better than y: above one it is, whatever the aspect.
func (f field) advantage(x, y string, a aspect) ratio {
	if a.less {
		x, y = y, x
	}
	return f.ratio(x, y, a)
}

// verdict is what a ratio says, if less is better or more.
func verdict(r ratio, less bool) page.Verdict {
	switch {
	case r == (ratio{}):
		return page.None
	case r.Range.Low <= 1 && r.Range.High >= 1:
		return page.Same
	case (r.Median < 1) == less:
		return page.Better
	default:
		return page.Worse
	}
}

// geometricMean of xs; 0 of none.
func geometricMean(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(xs)))
}
