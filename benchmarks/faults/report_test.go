//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func twoResults() []result {
	first, second := calm(), calm()
	first.Fault, second.Fault = "a | pipe", "a | pipe"
	first.Verdict, first.Seen = met, []string{"one", "two"}
	second.Server, second.Verdict, second.Why, second.Broken = "std", notMet, "it hurts", 5
	third := result{Row: 9, Fault: "another", Server: "std", Verdict: doesNotApply, Why: "no pool"}
	return []result{first, second, third}
}

func TestMatrixPutsServersSideBySide(t *testing.T) {
	rows := matrix([]string{"std", "weir", "gnet"}, twoResults())
	if len(rows) != 2 || rows[0].fault != "8 a | pipe" || rows[1].fault != "9 another" {
		t.Fatalf("got %+v", rows)
	}
	if got, want := strings.Join(rows[0].cells, ";"), "NOT MET, 2ms → 2ms;met, 2ms → 2ms;"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := strings.Join(rows[1].cells, ";"), "does not apply;;"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPrintResult(t *testing.T) {
	var b strings.Builder
	for _, r := range twoResults() {
		printResult(&b, r)
	}
	for _, want := range []string{
		"8 a | pipe, weir: met\n", "seen      one; two\n", "p99 2ms → 2ms", "5 of 100 lost their connection", "why       it hurts\n",
		"yes, after 0s: descriptors 10 → 10, goroutines 20 → 20, memory 30 → 30 MiB\n", "9 another, std: does not apply\n    why       no pool\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	b.Reset()
	printSummary(&b, []string{"weir", "std"}, twoResults(), time.Minute)
	if !strings.Contains(b.String(), "1 met, 1 not met, 0 not promised, 1 do not apply, 0 cannot run here; 1m0s") {
		t.Errorf("got\n%s", b.String())
	}
}

func TestMarkdown(t *testing.T) {
	text := markdown(setting{Date: "2026-01-02", Commit: "abc", CPUs: 2}, []string{"weir", "std"}, twoResults())
	for _, want := range []string{
		"2026-01-02, commit abc; 2 × ", "| fault | weir | std |\n| --- | --- | --- |\n", `| 8 a \| pipe | met, 2ms → 2ms | NOT MET, 2ms → 2ms |`,
		"| std | NOT MET | **it hurts** |", "| std | does not apply | no pool |  |  |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Count(text, "#### ") != 2 {
		t.Errorf("want a heading for each fault:\n%s", text)
	}
}

func TestMarkdownKeepsTheRestOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trust.md")
	if err := os.WriteFile(path, []byte("# Before\n"+markdownBegin+"old\n"+markdownEnd+"after\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := writeMarkdown(path, setting{}, []string{"weir"}, twoResults()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.HasPrefix(got, "# Before\n"+markdownBegin) || !strings.HasSuffix(got, markdownEnd+"after\n") ||
		strings.Contains(got, "old") || !strings.Contains(got, "| fault | weir |") {
		t.Errorf("got\n%s", got)
	}
	if got := between("no marks", "new"); got != "new" {
		t.Errorf("without marks: %q", got)
	}
}

func TestJournal(t *testing.T) {
	var j journal
	j.read(strings.NewReader(`{"level":"warn","what":"paused","time":"2026-01-02T03:04:05Z","message":"accept_error"}
{"level":"warn","what":"paused","time":"2026-01-02T03:04:05Z","message":"accept_error"}
{"level":"warn","what":"skipped","time":"2026-01-02T03:04:05Z","message":"accept_error"}
{"level":"warn","what":"paused","time":"2026-01-02T03:04:06Z","message":"accept_error"}
no JSON
no JSON
no JSON
without an end`))
	if event, n := j.busiest(); event != "accept_error paused" || n != 2 {
		t.Errorf("%q came %d times within a second, want accept_error paused, 2", event, n)
	}
	if j.count("accept_error") != 4 || j.count("without an end") != 1 || !strings.HasPrefix(j.text(), `{"level"`) {
		t.Errorf("got\n%s", j.text())
	}
	for range linesMax {
		j.add("more\n")
	}
	if len(j.lines) != linesMax || j.skipped != 8 {
		t.Errorf("%d lines kept, %d skipped", len(j.lines), j.skipped)
	}
}
