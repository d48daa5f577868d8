package main

import (
	"time"
)

// summary is what the rounds of one cell say about one contender.
type summary struct {
	Test      string `json:"test"`
	Cell      string `json:"cell"`
	Contender string `json:"contender"`
	Rounds    int    `json:"rounds"`

	// Medians of the ratios to the base, and to std, in the same round: of what is done
	// per second, or of p99 at a fixed rate; and of server time per operation. Zero where
	// there is nothing to compare with.
	ToBase   ratio `json:"to_base"`
	ToStd    ratio `json:"to_std"`
	CPURatio ratio `json:"cpu_ratio"`

	// Medians over the rounds.
	PerSecond  float64       `json:"per_second"`
	Range      interval      `json:"per_second_range"`
	Payload    float64       `json:"payload_bytes_per_second"`
	Offered    float64       `json:"offered_per_second,omitempty"` // at a fixed rate
	P50        time.Duration `json:"p50_ns"`
	P90        time.Duration `json:"p90_ns,omitempty"`
	P99        time.Duration `json:"p99_ns"`
	P999       time.Duration `json:"p99_9_ns,omitempty"`
	LateP99    time.Duration `json:"late_p99_ns,omitempty"`
	CPU        float64       `json:"cpu_per_operation_ns"`
	Allocs     float64       `json:"allocs_per_operation"`
	AllocBytes float64       `json:"alloc_bytes_per_operation"`
	Resident   float64       `json:"resident_bytes"`

	Verified int64 `json:"verified_bytes"` // over all rounds
}

// ratio is a median with its 95 % interval; zero where there is none.
type ratio struct {
	Median float64  `json:"median"`
	Range  interval `json:"range"`
}

func ratioOf(xs, ys []float64) ratio {
	rs := ratios(xs, ys)
	return ratio{median(rs), bootstrap(rs)}
}

// summaries makes one for each cell and contender, in the order of the observations.
func (r *results) summaries() []summary {
	var all []summary
	for _, test := range r.tests() {
		for _, cell := range r.cells(test) {
			all = append(all, r.summarize(test, cell)...)
		}
	}
	return all
}

// summarize is the same for one cell.
func (r *results) summarize(test, cell string) []summary {
	rounds := byContender(r.of(test, cell))
	names := r.contenders(test, cell)
	var all []summary
	for _, name := range names {
		s := summarizeOne(rounds[name])
		if name != names[0] {
			s.ToBase = pair(rounds[name], rounds[names[0]], observation.value)
			s.CPURatio = pair(rounds[name], rounds[names[0]], observation.cpu)
		}
		if name != "std" {
			s.ToStd = pair(rounds[name], rounds["std"], observation.value)
		}
		all = append(all, s)
	}
	return all
}

func byContender(observations []observation) map[string][]observation {
	by := map[string][]observation{}
	for _, o := range observations {
		by[o.contender] = append(by[o.contender], o)
	}
	return by
}

func summarizeOne(rounds []observation) summary {
	first := rounds[0]
	s := summary{Test: first.test, Cell: first.cell, Contender: first.contender, Rounds: len(rounds), Offered: first.offered}
	values := func(of func(observation) float64) []float64 {
		var xs []float64
		for _, o := range rounds {
			xs = append(xs, of(o))
		}
		return xs
	}
	middle := func(of func(observation) float64) float64 { return median(values(of)) }
	duration := func(of func(observation) time.Duration) time.Duration {
		return time.Duration(middle(func(o observation) float64 { return float64(of(o)) }))
	}
	perSecond := values(func(o observation) float64 { return o.perSecond })
	s.PerSecond, s.Range = median(perSecond), bootstrap(perSecond)
	s.Payload = middle(func(o observation) float64 { return o.payload })
	s.P50 = duration(func(o observation) time.Duration { return o.latency.P50 })
	s.P90 = duration(func(o observation) time.Duration { return o.latency.P90 })
	s.P99 = duration(func(o observation) time.Duration { return o.latency.P99 })
	s.P999 = duration(func(o observation) time.Duration { return o.latency.P999 })
	s.LateP99 = duration(func(o observation) time.Duration { return o.lateP99 })
	s.CPU = middle(observation.cpu)
	s.Allocs = middle(func(o observation) float64 { return o.each(o.used.Allocs) })
	s.AllocBytes = middle(func(o observation) float64 { return o.each(o.used.AllocBytes) })
	s.Resident = middle(func(o observation) float64 { return float64(o.used.Resident) })
	for _, o := range rounds {
		s.Verified += o.verified
	}
	return s
}

// pair compares rounds; those without a partner do not count.
func pair(rounds, partners []observation, value func(observation) float64) ratio {
	return ratioOf(pairs(rounds, partners, value))
}

// pairs are the values of the rounds that both have.
func pairs(rounds, partners []observation, value func(observation) float64) (xs, ys []float64) {
	of := map[int]observation{}
	for _, p := range partners {
		of[p.round] = p
	}
	for _, o := range rounds {
		if p, ok := of[o.round]; ok {
			xs = append(xs, value(o))
			ys = append(ys, value(p))
		}
	}
	return xs, ys
}
