package main

import (
	"io"
	"math"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestExchangeTest(t *testing.T) {
	same := []float64{1, 2, 3, 4, 5}
	if p := exchangeTest(same, same); p != 1 {
		t.Errorf("equal pairs: p = %v", p)
	}
	double := []float64{2, 4, 6, 8, 10}
	if p := exchangeTest(double, same); p != 2.0/32 { // only all one way, or all the other
		t.Errorf("doubled: p = %v", p)
	}
	if p := exchangeTest(nil, nil); p != 1 {
		t.Errorf("nothing: p = %v", p)
	}
	// One of three against the others: every exchange is at least as far.
	if p := exchangeTest([]float64{2, 1, 1}, []float64{1, 2, 2}); p != 1 {
		t.Errorf("mixed: p = %v", p)
	}
	// Drawn and exact agree.
	xs, ys := make([]float64, 16), make([]float64, 16)
	for i := range xs {
		xs[i], ys[i] = 1+0.1*float64(i%5), 1.15
	}
	exact := exchangeTest(xs, ys)
	var logs []float64
	sum := 0.0
	for _, r := range ratios(xs, ys) {
		logs = append(logs, math.Log(r))
		sum += math.Log(r)
	}
	if drawn := exchangeSome(logs, math.Abs(sum)*(1-1e-12)); math.Abs(drawn-exact) > 0.01 {
		t.Errorf("exact %v, drawn %v", exact, drawn)
	}
}

func TestHolm(t *testing.T) {
	got := holm([]float64{0.04, 0.01, 0.5, 0.02})
	if want := []float64{0.08, 0.04, 0.5, 0.06}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := holm([]float64{0.9, 0.8}); got[0] != 1 || got[1] != 1 {
		t.Errorf("got %v", got)
	}
	if len(holm(nil)) != 0 {
		t.Error("something of nothing")
	}
}

func TestCompareOptions(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	o, err := parseCompare([]string{"feature/x~1"}, now, io.Discard)
	if err != nil || o.ref != "feature/x~1" || o.out != filepath.Join("results", "compare-feature-x-1-20260304-050607") || len(o.fanout) == 0 {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = parseCompare(strings.Fields("-cells 1x64*,5x5@10 -rounds 3 -out y HEAD"), now, io.Discard)
	if err != nil || len(o.cells) != 2 || o.churn != nil || o.fanout != nil || o.rounds != 3 || o.out != "y" {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = parseCompare(strings.Fields("-fanout 1000x*,9x9x9 HEAD"), now, io.Discard)
	if err != nil || o.cells != nil || o.churn != nil || len(o.fanout) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := parseCompare(strings.Fields("-fanout z* HEAD"), now, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "-fanout: ") {
		t.Errorf("%v does not name the flag", err)
	}
	for _, args := range []string{"", "a b", "-rounds 0 HEAD", "-cells x HEAD", "-fanout x HEAD", "-cells 5x5x1,5x5@50% HEAD", "-round-duration 0s HEAD", "-warm-up -1s HEAD"} {
		if _, err := parseCompare(strings.Fields(args), now, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestComparisonsOfBothModes(t *testing.T) {
	c := cellsNamed("10x64x1")[0]
	slow, fast := make([]float64, 15), make([]float64, 15)
	for i := range slow {
		slow[i], fast[i] = 100+float64(i), 200+2*float64(i)
	}
	r := &results{compare: compareLine{"abc"}, observations: slices.Concat(
		samplesOf(c, "weir-pool@abc", slow...), samplesOf(c, "weir-pool", fast...),
		samplesOf(c, "weir@abc", slow...), samplesOf(c, "weir", slow...), samplesOf(c, "weir-pool@abc again", slow...))}
	all := r.comparisons()
	if len(all) != 6 {
		t.Fatalf("got %d comparisons", len(all))
	}
	pool, inline := all[0], all[3]
	if pool.mode != "weir pool" || pool.ratio.Median != 2 || pool.says() != "better" || pool.corrected > 0.001 {
		t.Errorf("%+v: %s", pool, pool.says())
	}
	if all[1].says() != "worse" { // p99 is the rate, in these samples
		t.Errorf("%+v: %s", all[1], all[1].says())
	}
	if inline.mode != "weir inline" || inline.says() != "no difference shown" || inline.p != 1 {
		t.Errorf("%+v: %s", inline, inline.says())
	}
	var text strings.Builder
	printComparisons(&text, all)
	printComparisons(&text, nil)
	if !strings.Contains(text.String(), "corrected for 6") || !strings.Contains(text.String(), "nothing was measured") {
		t.Errorf("got\n%s", text.String())
	}
	var page strings.Builder
	if err := writeSheet(&page, []*results{r}); err != nil || !strings.Contains(page.String(), "This tree and abc") {
		t.Errorf("no section: %v", err)
	}
}

// The comparison builds weir at another commit, measures, and leaves no worktree behind.
func TestCompareEndToEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	if out, err := exec.Command("git", "rev-parse", "--verify", "HEAD").CombinedOutput(); err != nil {
		t.Skipf("not in a clone: %s", out)
	}
	directory := t.TempDir() // others may compare in this clone at the same time
	t.Setenv("TMPDIR", directory)
	var out, log strings.Builder
	args := strings.Fields("compare -cells 1x64x1 -rounds 2 -round-duration 20ms -warm-up 5ms -out " + filepath.Join(t.TempDir(), "c") + " HEAD")
	if code := run(args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, log.String(), out.String())
	}
	for _, want := range []string{"weir pool", "weir inline", "server CPU", "corrected for 6 comparisons"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	trees, err := exec.Command("git", "worktree", "list").Output()
	if err != nil || strings.Contains(string(trees), directory) {
		t.Errorf("worktrees are\n%s%v", trees, err)
	}
	if code := run([]string{"compare", "no-such-commit"}, strings.NewReader(""), io.Discard, &log); code != 1 {
		t.Errorf("exit code %d for a commit that is not there", code)
	}
}

// Beside a chart there is room for the name of the other commit, and its noise.
func TestLabelsOfAnotherCommit(t *testing.T) {
	if got, want := labelOf(echoTest, "weir-pool@689f196d3798"+again), "weir pool @689f196 again"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := labelOf(fanoutTest, "weir@v1"), "weir pool @v1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
