package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// samplesOf makes rounds of one contender, in which it did rates round trips/s.
func samplesOf(c cell, name string, rates ...float64) []sample {
	var samples []sample
	for round, rate := range rates {
		samples = append(samples, sample{
			Cell: c, Round: round, Contender: name, RoundTripsPerSecond: rate,
			P50: 10 * time.Microsecond, P99: time.Millisecond,
			Messages: int64(rate), ServerCPU: time.Second, Verified: 64,
		})
	}
	return samples
}

func TestSummaryPairsRoundsWithTheBase(t *testing.T) {
	c := cell{10, 64, 1}
	samples := append(samplesOf(c, "floor", 100, 200, 400), samplesOf(c, "std", 50, 150, 100, 999)...)
	got := summarize(samples, []string{"floor", "std"})
	if len(got) != 2 || got[0].Ratio != 0 || got[0].RoundTripsPerSecond != 200 {
		t.Fatalf("got %+v", got)
	}
	s := got[1]
	if s.Ratio != 0.5 || s.RatioRange != (interval{0.25, 0.75}) || s.Rounds != 4 {
		t.Errorf("ratios 0.5, 0.75, 0.25 and a round without the floor gave %+v", s)
	}
	if s.CPURatio != 2 || s.Verified != 4*64 || s.RoundTripsPerSecond != 125 {
		t.Errorf("got %+v", s)
	}
}

func TestTableHasARowForEach(t *testing.T) {
	a, b := cell{10, 64, 1}, cell{10, 64, 16}
	var samples []sample
	for _, c := range []cell{a, b} {
		samples = append(samples, samplesOf(c, "floor", 100, 100)...)
		samples = append(samples, samplesOf(c, "std", 80, 80)...)
	}
	var text strings.Builder
	printTable(&text, summarize(samples, []string{"floor", "std"}))
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

func TestIdleSummaryIsTheSlope(t *testing.T) {
	var samples []idleSample
	for _, n := range []int{2000, 10000, 18000} {
		bytes := int64(1<<20 + 250*n)
		samples = append(samples, idleSample{"std", true, n, memory{Resident: bytes, HeapAlloc: 2 * bytes}})
	}
	got := summarizeIdle(samples)
	if got.Contender != "std" || !got.Forced || got.Resident != 250 || got.HeapAlloc != 500 || got.Stacks != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRecorderMakesItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "a.jsonl")
	r, err := createResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.write("x", 1), r.write("y", cell{1, 2, 3}), r.close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	want := `{"kind":"x","value":1}` + "\n" + `{"kind":"y","value":{"connections":1,"size":2,"depth":3}}` + "\n"
	if err != nil || string(b) != want {
		t.Errorf("got %q, %v", b, err)
	}
}
