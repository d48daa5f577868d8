//go:build linux

package main

import (
	"slices"
	"time"
)

// latency sums up round trips. In nanoseconds where it is JSON.
type latency struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	Worst time.Duration `json:"worst_ns"`
}

// sum sorts samples and sums them up.
func sum(samples []time.Duration) latency {
	if len(samples) == 0 {
		return latency{}
	}
	slices.Sort(samples)
	return latency{
		Count: len(samples), P50: percentile(samples, 50), P99: percentile(samples, 99),
		Worst: samples[len(samples)-1],
	}
}

// percentile returns the smallest of the sorted samples that p per cent of them do
// not exceed. There is at least one.
func percentile(sorted []time.Duration, p int) time.Duration {
	rank := (len(sorted)*p + 99) / 100 // rounded up, from 1
	return sorted[max(rank, 1)-1]
}

// due adds to samples a round trip that began at since and took until now, and
// those that should have begun meanwhile, one each interval: a client that waits
// sends less, and must not hide by that how long others would have waited.
func due(samples []time.Duration, since, now time.Time, interval time.Duration) []time.Duration {
	for waited := now.Sub(since); waited > 0; waited -= interval {
		samples = append(samples, waited)
	}
	return samples
}
