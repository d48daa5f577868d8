//go:build linux

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// series is something that must not grow.
type series struct {
	name      string
	unit      string
	of        func(sample) float64
	tolerance float64 // by how much it may seem to grow in an hour
	probed    bool    // only where there is a probe
}

const mebi = 1 << 20

// allSeries are what is judged; docs/soak.md tells why these tolerances.
var allSeries = []series{
	{"resident memory", "MiB", func(s sample) float64 { return float64(s.resident) / mebi }, 8, false},
	{"heap", "MiB", func(s sample) float64 { return float64(s.heap) / mebi }, 1, false},
	{"buffers", "MiB", func(s sample) float64 { return float64(s.buffers) / mebi }, 0.5, false},
	{"kept buffers", "MiB", func(s sample) float64 { return float64(s.kept) / mebi }, 4, false},
	{"descriptors", "", func(s sample) float64 { return float64(s.descriptors) }, 1, false},
	{"goroutines", "", func(s sample) float64 { return float64(s.goroutines) }, 1, false},
	{"threads", "", func(s sample) float64 { return float64(s.threads) }, 4, false},
	{"p99 ÷ package net's", "", func(s sample) float64 { return ratio(s.p99, s.plainP99) }, 1, true},
}

func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// pointsMin is how many samples a slope takes: fewer say nothing.
const pointsMin = 8

// judgement is what became of one series of one subject.
type judgement struct {
	subject string
	series
	quarters []float64 // medians of the quarters of the samples; none if there are too few
	points   int
	slope    float64 // per hour
	interval         // of it
}

// known tells whether there were enough samples.
func (j judgement) known() bool { return j.points >= pointsMin }

// grows tells whether it grows, and not only seems to: all plausible slopes are above
// the tolerance.
func (j judgement) grows() bool { return j.known() && j.low > j.tolerance }

// verdict is what a soak has shown. Any goroutine may call fail.
type verdict struct {
	judgements []judgement

	mu       sync.Mutex
	failures []error
	untold   int // more of them
}

func (v *verdict) passed() bool { return len(v.failures) == 0 }

// fail notes a failure, and tells it at once: a soak is long.
func (v *verdict) fail(out io.Writer, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.failures) >= 4*failuresMax {
		v.untold++
		return
	}
	err := fmt.Errorf(format, args...)
	v.failures = append(v.failures, err)
	fmt.Fprintln(out, "FAILED:", err)
}

// failed tells how many failures there are.
func (v *verdict) failed() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.failures)
}

// judge looks for slopes. The first samples, of the warm-up and a fifth of all, do not
// count: caches and tables are still growing to their size.
func (v *verdict) judge(subjects []*subject) {
	for _, x := range subjects {
		first := max(warmUpCycles, len(x.samples)/5)
		for _, s := range allSeries {
			if s.probed && x.probe == nil {
				continue
			}
			j := judgeSeries(s, x.samples[min(first, len(x.samples)):])
			j.subject = x.name
			v.judgements = append(v.judgements, j)
			if j.grows() {
				v.failures = append(v.failures, fmt.Errorf("%s: %s grows by %.3g %s an hour (95%% interval %.3g to %.3g), more than %g",
					x.name, s.name, j.slope, s.unit, j.low, j.high, s.tolerance))
			}
		}
	}
}

func judgeSeries(s series, samples []sample) judgement {
	j := judgement{series: s, points: len(samples)}
	xs, ys := make([]float64, len(samples)), make([]float64, len(samples))
	for i, one := range samples {
		xs[i], ys[i] = one.at.Hours(), s.of(one)
	}
	for q := 0; q < 4 && len(ys) >= 4; q++ {
		j.quarters = append(j.quarters, median(ys[len(ys)*q/4:len(ys)*(q+1)/4]))
	}
	xs, ys = thin(xs, ys, pointsMax)
	j.slope, j.interval = theilSen(xs, ys), slopeInterval(xs, ys)
	return j
}
