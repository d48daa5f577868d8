package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBaselineRestatesTheRows(t *testing.T) {
	one, hundred := cellsNamed("1x65536x1")[0], cellsNamed("100x64x1")[0]
	r := &results{name: "x.jsonl", observations: slices.Concat(
		samplesOf(one, "floor", 400, 400, 400), samplesOf(one, "weir-pool", 300, 300, 300),
		samplesOf(hundred, "floor", 400, 400, 400), samplesOf(hundred, "weir-pool", 300, 300, 300), samplesOf(hundred, "weir", 100, 100, 100),
		samplesOf(hundred, "std", 100, 100, 100), samplesOf(hundred, "nbio", 200, 200, 200))}
	var out bytes.Buffer
	r.writeBaseline(&out)
	for _, want := range []string{
		"| 64 KB, 1 connection | 45K msg/s, 2.1 µs | 1x65536x1 | 300 |", // no rival, and no mode inline
		"| 100 connections | 285K msg/s, 1.8 µs | 100x64x1 | 300 |",
		"| 100x64x1 | 0.75 (0.75–0.75) | 0.25 (0.25–0.25) | – | 3.00 (3.00–3.00) | 1.50 (1.50–1.50) nbio | 0.50 (0.50–0.50) nbio |",
		"| echo 100x64x1 | weir inline | throughput | nbio | 0.50 (0.50–0.50) |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "weir pool | throughput") {
		t.Error("a win is told as a loss")
	}
	if err := baselineCommand(nil, io.Discard, io.Discard); err == nil {
		t.Error("no file was taken")
	}
}

// The tables that docs/baseline.md shows are those of the results it names.
func TestBaselinePageHoldsWhatTheResultsSay(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "baseline.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for part := range strings.SplitSeq(string(page), "<!-- baseline ") {
		name, rest, ok := strings.Cut(part, " -->\n")
		if !ok || !strings.HasSuffix(name, ".jsonl") {
			continue
		}
		names++
		shown, _, ended := strings.Cut(rest, "<!-- end -->")
		var want bytes.Buffer
		if err := baselineCommand([]string{filepath.Join("results", name)}, &want, io.Discard); err != nil || !ended {
			t.Fatal(name, err, ended)
		}
		if strings.TrimSpace(shown) != strings.TrimSpace(want.String()) {
			t.Errorf("what stands there of %s is not what `go run . baseline results/%s` prints", name, name)
		}
	}
	if names == 0 {
		t.Error("no results are named")
	}
}
