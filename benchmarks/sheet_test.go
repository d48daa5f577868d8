package main

import (
	"io"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/weirnet/weir/benchmarks/internal/page"
)

// Every file of results that is kept can be made a page.
func TestKeptResultsMakePages(t *testing.T) {
	paths, err := filepath.Glob("results/*.jsonl")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	out := filepath.Join(t.TempDir(), "all.html")
	if err := reportCommand(append([]string{"-o", out}, paths...), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"nothing.jsonl"}, {"-x"}} {
		if err := reportCommand(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if got := pageOf("a/b.jsonl"); got != "a/b.html" {
		t.Errorf("got %s", got)
	}
}

func TestLabelsNameTheMode(t *testing.T) {
	for _, test := range []struct{ test, contender, label, kind string }{
		{echoTest, "weir", "weir inline", "ours2"},
		{echoTest, "weir-pool", "weir pool", "ours"},
		{echoTest, "weir-spin", "weir spin", "ours2"},
		{fanoutTest, "weir", "weir pool", "ours"},
		{paceTest, "weir-inline", "weir inline", "ours2"},
		{echoTest, "floor", "floor", "floor"},
		{echoTest, "floor again", "floor again", "noise"},
		{echoTest, "asio", "asio", "rival"},
		{echoTest, "weir-pool@abc", "weir pool @abc", "ours"},
		{fanoutTest, "weir@abc again", "weir pool @abc again", "noise"},
	} {
		if got := labelOf(test.test, test.contender); got != test.label {
			t.Errorf("%s: label %q", test.contender, got)
		}
		if got := kindOf(test.test, test.contender); string(got) != test.kind {
			t.Errorf("%s: kind %q", test.contender, got)
		}
	}
}

func TestCellsInWords(t *testing.T) {
	for _, test := range []struct{ test, cell, want string }{
		{echoTest, "1x64x1", "1 connection, messages of 64 bytes, 1 in flight on each"},
		{bulkTest, "10x1048576x1", "10 connections, messages of 1 MiB, 1 in flight on each"},
		{openTest, "100x64@70%", "100 connections, messages of 64 bytes, 70 % of the fastest Go rival's rate"},
		{openTest, "100x1024@500", "100 connections, messages of 1 KiB, 500 a second"},
		{churnTest, "64x64", "64 connections at once, one message of 64 bytes each"},
		{fanoutTest, "9x64x3", "9 subscribers, messages of 64 bytes, 3 unfinished"},
		{paceTest, "9x64@3", "9 subscribers, messages of 64 bytes, 3 a second"},
		{"other", "what", "what"},
	} {
		if got := describeCell(test.test, test.cell); got != test.want {
			t.Errorf("%s %s: %q", test.test, test.cell, got)
		}
	}
}

func TestVerdictsFollowTheInterval(t *testing.T) {
	for _, test := range []struct {
		r    ratio
		less bool
		want page.Verdict
	}{
		{ratio{1.2, interval{1.1, 1.3}}, false, page.Better},
		{ratio{1.2, interval{1.1, 1.3}}, true, page.Worse},
		{ratio{0.8, interval{0.7, 0.9}}, false, page.Worse},
		{ratio{0.8, interval{0.7, 0.9}}, true, page.Better},
		{ratio{1.2, interval{0.9, 1.3}}, false, page.Same},
		{ratio{}, false, page.None},
	} {
		if got := verdict(test.r, test.less); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// An advantage is above one for who is better, whatever the aspect; the best rival is who
// has the best median.
func TestGlanceComparesWithTheBestRival(t *testing.T) {
	c := cellsNamed("10x64x1")[0]
	r := &results{observations: slices.Concat(
		samplesOf(c, "floor", 400, 400, 400), samplesOf(c, "weir-pool", 300, 300, 300), samplesOf(c, "std", 100, 100, 100),
		samplesOf(c, "gnet", 200, 200, 200), samplesOf(c, "asio", 500, 500, 500))}
	f := r.field(echoTest, "10x64x1")
	if best := f.best(throughput, isRival); best != "gnet" {
		t.Errorf("best is %q", best)
	}
	if best := f.best(tail, isRival); best != "std" { // p99 is the rate, in these samples
		t.Errorf("shortest is %q", best)
	}
	if a := f.advantage("weir-pool", "gnet", throughput); a.Median != 1.5 {
		t.Errorf("got %v", a)
	}
	if a := f.advantage("weir-pool", "std", tail); math.Abs(a.Median-1.0/3) > 1e-9 {
		t.Errorf("got %v", a)
	}
	forest := r.forest(r.fields(), 0, "", "", nil, isRival)
	if len(forest.Rows) != 1 || forest.Rows[0].Middle != 1.5 || forest.Rows[0].Label != "echo 10x64x1" {
		t.Errorf("%+v", forest.Rows)
	}
}

// The summary says how much better, as a mean of the cells that a question is about, and
// counts cells by their intervals.
func TestSummaryCountsCells(t *testing.T) {
	near, lone := cellsNamed("10x64x1")[0], cellsNamed("1x64x1")[0]
	r := &results{observations: slices.Concat(
		samplesOf(near, "floor", 400, 400, 400), samplesOf(near, "weir-pool", 300, 300, 300), samplesOf(near, "std", 100, 100, 100),
		samplesOf(near, "gnet", 200, 200, 200),
		samplesOf(lone, "weir-pool", 10, 10, 10), samplesOf(lone, "std", 20, 20, 20))}
	fields := r.fields()
	q := question{"", manyConnections, &throughput, isRival}
	if got := q.answer(fields, 0); math.Abs(got.mean-1.5) > 1e-9 || got.ahead != 1 || got.cells() != 1 {
		t.Errorf("to the best rival: %+v", got)
	}
	q.may = isFloorItself
	if got := q.answer(fields, 0); math.Abs(got.mean-0.75) > 1e-9 || got.behind != 1 || got.cell().Verdict != page.Worse {
		t.Errorf("to the floor: %+v", got)
	}
	if got := q.answer(fields, 1); got.cells() != 0 || got.cell().Text != "–" {
		t.Errorf("of a mode that took no part: %+v", got)
	}
	cells := map[string]string{}
	for _, row := range rivalTable(fields).Rows {
		cells[row.Label] = row.Cells[0].Text
	}
	if cells["std"] != "1 / 0 / 1" || cells["gnet"] != "1 / 0 / 0" || cells["floor"] != "0 / 0 / 1" {
		t.Errorf("counts: %v", cells)
	}
}

func TestRatiosHaveFewDigits(t *testing.T) {
	for r, want := range map[float64]string{0.004: "0.00", 1.234: "1.23", 9.99: "9.99", 12.34: "12.3", 374.97: "375"} {
		if got := timesText(r); got != want {
			t.Errorf("%v: %s, want %s", r, got, want)
		}
	}
}

func TestSystemCallsAreShownByName(t *testing.T) {
	c := cellsNamed("10x64x1")[0]
	r := &results{
		observations: samplesOf(c, "std", 1),
		calls:        []callsLine{{echoTest, "10x64x1", "std", "perf", 10, map[string]int64{"read": 20, "write": 10, "futex": 1}}},
	}
	table := r.callsTable(r.field(echoTest, "10x64x1"))
	if !slices.Equal(table.Head, []string{"", "read", "write", "futex"}) || table.Rows[0].Cells[0].Text != "2.000" {
		t.Errorf("%+v", table)
	}
}

// What a program says that it is, once it runs, takes the place of what was known before.
func TestContendersAreDescribedOnce(t *testing.T) {
	r := &results{abouts: []aboutLine{{"asio", false, "C++"}, {"floor", false, "bare"}, {"weir", true, "a group"}, {"asio", false, "C++; asio 1.2"}}}
	want := []aboutLine{{"asio", false, "C++; asio 1.2"}, {"floor", false, "bare"}}
	if got := r.describedContenders(false); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
