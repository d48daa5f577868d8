package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/load"
)

func TestRecorderMakesItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "a.jsonl")
	r, err := createResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.write("x", 1), r.write("y", cell{Connections: 1, Size: 2, Depth: 3}), r.close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	want := `{"kind":"x","value":1}` + "\n" + `{"kind":"y","value":{"connections":1,"size":2,"depth":3}}` + "\n"
	if err != nil || string(b) != want {
		t.Errorf("got %q, %v", b, err)
	}
}

// What was written is seen at once, and the same when the file is read.
func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	r, err := createResults(path)
	if err != nil {
		t.Fatal(err)
	}
	lone := cell{Connections: 1, Size: 64, Depth: 1}
	for _, line := range []struct {
		kind  string
		value any
	}{
		{"setting", setting{Commit: "abc"}},
		{"suite", suiteLine{Mode: "quick", Rounds: 3}},
		{"about", aboutLine{Contender: "std", About: "package net"}},
		{"missing", missingLine{Contender: "asio", Why: "no g++", Type: "apt-get"}},
		{"sample", sample{Cell: lone, Contender: "floor", RoundTripsPerSecond: 5}},
		{"sample", sample{Cell: cell{Connections: 1, Size: 64, Rate: 70, Share: 70, Depth: 9}, Contender: "floor", P99: 3}},
		{"sample", sample{Cell: cell{Connections: 1, Size: 1 << 20, Depth: 1}, Contender: "floor", RoundTripsPerSecond: 5}},
		{"sample", churnSample{Churn: churnCell{4, 64}, Contender: "std", Result: load.ChurnResult{LivesPerSecond: 9}}},
		{"sample", fanoutSample{Cell: fanoutCell{9, 64, 1, 0}, Contender: "std"}},
		{"sample", fanoutSample{Cell: fanoutCell{9, 64, 0, 5}, Contender: "std"}},
		{"sample", idleSample{Contender: "std", Connections: 10}},
		{"sample", stuckSample{Cell: fanoutCell{9, 64, 0, 5}, State: reading}},
		{"memory", fanoutMemory{Contender: "std"}},
		{"calls", callsLine{Test: echoTest, Calls: map[string]int64{"read": 2}, Operations: 1}},
		{"failure", failure{Contender: "std", Error: "x"}},
		{"summary", idleSummary{Contender: "std", Probe: time.Second}},
		{"summary", summary{Test: echoTest}},
		{"else", 1},
		{"sample", map[string]int{"what": 1}},
	} {
		if err := r.write(line.kind, line.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	back, err := readResults(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*results{&r.seen, back} {
		tests := strings.Join(got.tests(), " ")
		if tests != "echo open bulk churn fanout pace" {
			t.Errorf("tests are %s", tests)
		}
		if got.setting.Commit != "abc" || got.suite.Mode != "quick" || len(got.abouts) != 1 || len(got.missing) != 1 || len(got.idle) != 1 ||
			len(got.stuck) != 1 || len(got.memories) != 1 || len(got.calls) != 1 || len(got.failures) != 1 || len(got.probes) != 1 || got.passedOver != 2 {
			t.Errorf("%+v", got)
		}
		if cells := got.cells(openTest); len(cells) != 1 || cells[0] != "1x64@70%" {
			t.Errorf("cells are %q", cells)
		}
	}
}

// The results that are kept can be read, all lines of them.
func TestKeptResultsAreReadable(t *testing.T) {
	paths, err := filepath.Glob("results/*.jsonl")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		r, err := readResults(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if r.setting.Kernel == "" || len(r.observations)+len(r.idle)+len(r.stuck)+len(r.rpc) == 0 || r.passedOver > 0 {
			t.Errorf("%s: %d observations, %d lines passed over", path, len(r.observations), r.passedOver)
		}
	}
}

func TestResultsNameTheLineThatIsBad(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"setting","value":{}}` + "\n{": "line 2",
		`{"kind":"sample","value":5}`:           "sample",
	} {
		err := new(results).read(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestShareIsOfTheFastestRival(t *testing.T) {
	closed := cell{Connections: 10, Size: 64, Depth: 1}
	seen := append(samplesOf(closed, "floor", 90_000), samplesOf(closed, "std", 10_000, 50_000, 30_000)...)
	seen = append(seen, samplesOf(closed, "gnet", 20_000)...)
	c, err := parseCell("10x64@70%")
	if err != nil {
		t.Fatal(err)
	}
	got, err := resolve(c, seen)
	if err != nil || got.Rate != 21_000 || got.String() != "10x64@70%" {
		t.Errorf("got %v at %d/s, %v", got, got.Rate, err)
	}
	if _, err := resolve(c, samplesOf(closed, "floor", 90_000)); err == nil {
		t.Error("a share of nothing")
	}
	if got, err := resolve(closed, nil); err != nil || got != closed {
		t.Errorf("got %v, %v", got, err)
	}
	b, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(b), `"share":70`) {
		t.Errorf("%s, %v", b, err)
	}
}
