package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
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

// tableOnPage is a table in Markdown that a command has printed, of a file of results.
var tableOnPage = regexp.MustCompile(`(?s)<!-- (baseline|micro) (\S+) -->\n(.*?)<!-- end -->`)

// The tables that pages show are those of the results they name.
func TestPagesHoldWhatTheResultsSay(t *testing.T) {
	commands := map[string]func(args []string, out, log io.Writer) error{"baseline": baselineCommand, "micro": microCommand}
	for path, tables := range map[string]int{filepath.Join("..", "docs", "baseline.md"): 1, "README.md": 1} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := tableOnPage.FindAllStringSubmatch(string(page), -1)
		if len(found) < tables {
			t.Errorf("%s has %d tables of results, want %d", path, len(found), tables)
		}
		for _, m := range found {
			var want bytes.Buffer
			if err := commands[m[1]]([]string{filepath.Join("results", m[2])}, &want, io.Discard); err != nil {
				t.Error(path, err)
			} else if strings.TrimSpace(m[3]) != strings.TrimSpace(want.String()) {
				t.Errorf("%s: what stands there of %s is not what `go run . %s results/%s` prints", path, m[2], m[1], m[2])
			}
		}
	}
}
