package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

// samplesOf makes rounds of one contender, in which it did rates round trips/s.
func samplesOf(c cell, name string, rates ...float64) []observation {
	var samples []observation
	for round, rate := range rates {
		samples = append(samples, sample{
			Cell: c, Round: round, Contender: name, RoundTripsPerSecond: rate,
			P50: 10 * time.Microsecond, P99: time.Duration(rate) * time.Microsecond,
			Messages: int64(rate), used: used{CPU: time.Second, Allocs: 2 * int64(rate), Resident: 1 << 20}, Verified: 64,
		}.observe())
	}
	return samples
}

// fanoutSamplesOf makes rounds of one contender, in which it made rates deliveries/s.
func fanoutSamplesOf(c fanoutCell, name string, rates ...float64) []observation {
	var samples []observation
	for round, rate := range rates {
		samples = append(samples, fanoutSample{
			Cell: c, Round: round, Contender: name, used: used{CPU: time.Second},
			Result: load.FanResult{
				DeliveriesPerSecond: rate, Deliveries: int64(rate), Verified: 64,
				Last: load.Latency{P99: 5 * time.Millisecond}, Each: load.Latency{P99: time.Duration(rate) * time.Microsecond},
			},
		}.observe())
	}
	return samples
}

func TestSummaryPairsRoundsWithTheBaseAndStd(t *testing.T) {
	c := cell{Connections: 10, Size: 64, Depth: 1}
	r := results{observations: slices.Concat(
		samplesOf(c, "floor", 100, 200, 400), samplesOf(c, "std", 50, 150, 100, 999), samplesOf(c, "other", 100, 300, 100, 7))}
	got := r.summaries()
	if len(got) != 3 {
		t.Fatalf("got %+v", got)
	}
	floor, std, other := got[0], got[1], got[2]
	if floor.ToBase != (ratio{}) || floor.PerSecond != 200 || floor.Allocs != 2 || floor.Resident != 1<<20 {
		t.Errorf("floor: %+v", floor)
	}
	if std.ToBase != (ratio{0.5, interval{0.25, 0.75}}) || std.Rounds != 4 || std.ToStd != (ratio{}) {
		t.Errorf("ratios 0.5, 0.75, 0.25 and a round without the floor gave %+v", std)
	}
	if std.CPURatio.Median != 2 || std.Verified != 4*64 || std.PerSecond != 125 {
		t.Errorf("std: %+v", std)
	}
	if other.ToBase.Median != 1 || other.ToStd.Median != 1.5 {
		t.Errorf("other: %+v", other)
	}
}

// At a fixed rate all do the same, so what is compared is p99.
func TestSummaryOfARateComparesP99(t *testing.T) {
	open := cell{Connections: 10, Size: 64, Depth: openWindow, Rate: 1000}
	paced := fanoutCell{10, 64, 0, 5}
	r := results{observations: slices.Concat(
		samplesOf(open, "floor", 100, 100), samplesOf(open, "std", 300, 300),
		fanoutSamplesOf(paced, "floor", 100, 100), fanoutSamplesOf(paced, "std", 300, 300))}
	got := r.summaries()
	for _, s := range []summary{got[1], got[3]} {
		if s.ToBase.Median != 3 || s.P99 != 300*time.Microsecond {
			t.Errorf("%s: %+v", s.Test, s)
		}
	}
	if got[1].Test != openTest || got[3].Test != paceTest {
		t.Errorf("tests are %q and %q", got[1].Test, got[3].Test)
	}
}

func TestTableHasARowForEach(t *testing.T) {
	var observations []observation
	for _, c := range []cell{{Connections: 10, Size: 64, Depth: 1}, {Connections: 10, Size: 64, Depth: 16}} {
		observations = append(observations, samplesOf(c, "floor", 100, 100)...)
		observations = append(observations, samplesOf(c, "std", 80, 80)...)
	}
	var text strings.Builder
	printTable(&text, (&results{observations: observations}).summaries())
	for _, want := range []string{"10x64x1 ", "10x64x16", "0.800", "0.800–0.800", "512 bytes verified"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	text.Reset()
	printTable(&text, nil)
	if !strings.Contains(text.String(), "nothing") {
		t.Errorf("an empty run prints %q", text.String())
	}
}

func TestFanoutMemoryIsPerConnection(t *testing.T) {
	var text strings.Builder
	printFanoutMemory(&text, []fanoutMemory{{
		Scene: fanoutScene{10, 64}, Contender: "std",
		Before: serving.Memory{Resident: 1000}, Unforced: serving.Memory{Resident: 91_000}, Forced: serving.Memory{Resident: 31_000, HeapAlloc: 20_000},
	}})
	for _, want := range []string{"9000", "3000", "2000"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
}

func TestIdleSummaryIsTheSlope(t *testing.T) {
	var samples []idleSample
	for _, n := range []int{2000, 10000, 18000} {
		bytes := int64(1<<20 + 250*n)
		samples = append(samples, idleSample{"std", true, n, serving.Memory{Resident: bytes, HeapAlloc: 2 * bytes}})
	}
	got := summarizeIdle(samples)
	if got.Contender != "std" || !got.Forced || got.Resident != 250 || got.HeapAlloc != 500 || got.Stacks != 0 {
		t.Errorf("got %+v", got)
	}
}

// What a sample is written as can be read again, with what the server used.
func TestSampleKeepsItsFormat(t *testing.T) {
	b, err := json.Marshal(sample{
		Cell: cell{Connections: 1, Size: 2, Depth: 3}, Contender: "std", P50: 4, P99: 5,
		used: used{CPU: 6, Allocs: 7}, Messages: 8, Verified: 9,
	})
	want := `{"cell":{"connections":1,"size":2,"depth":3},"round":0,"contender":"std","round_trips_per_second":0,"p50_ns":4,"p99_ns":5,` +
		`"server_cpu_ns":6,"allocs":7,"messages":8,"verified_bytes":9}`
	if err != nil || string(b) != want {
		t.Errorf("got %s, %v", b, err)
	}
}
