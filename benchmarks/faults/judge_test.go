//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// calm is a result with which nothing is wrong.
func calm() result {
	quick := latency{Count: 1000, P50: time.Millisecond, P99: 2 * time.Millisecond, Worst: 5 * time.Millisecond}
	return result{
		Row: 8, Fault: "f", Server: "weir", Clients: 100, Before: quick, During: quick,
		Base: usage{10, 20, 30 << 20}, After: usage{10, 20, 30 << 20}, Back: true, limit: healthyMax, worst: worstMax,
	}
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*result)
		want   verdict
		why    string
	}{
		"calm":              {func(*result) {}, met, ""},
		"failure":           {func(r *result) { r.fail("it %s", "hurts") }, notMet, "it hurts"},
		"unmet requirement": {func(r *result) { r.require(false, "must be so") }, notMet, "must be so"},
		"met requirement":   {func(r *result) { r.require(true, "must be so") }, met, ""},
		"a client lost":     {func(r *result) { r.Broken = 1 }, notMet, "1 healthy clients lost"},
		"slow at the limit": {func(r *result) { r.During.P99 = healthyMax }, met, ""},
		"slow":              {func(r *result) { r.During.P99 = healthyMax + time.Millisecond }, notMet, "p99 of healthy clients is 101ms"},
		"slow as std":       {func(r *result) { r.During.P99, r.limit = time.Second/2, time.Second }, met, ""},
		"late": {func(r *result) {
			r.hurry(time.Second, time.Minute, "one")
			r.hurry(2*time.Second, time.Second, "another")
		}, notMet, "another took 2s, at most 1s"},
		"one waits":          {func(r *result) { r.During.Worst = 2 * time.Second }, notMet, "waited for 2s"},
		"one waits a little": {func(r *result) { r.During.Worst = worstMax }, met, ""},
		"one must not wait":  {func(r *result) { r.During.Worst, r.worst = 101*time.Millisecond, healthyMax }, notMet, "waited for 101ms, at most 100ms"},
		"nothing measured":   {func(r *result) { r.During = latency{} }, notMet, "measured nothing"},
		"nothing before":     {func(r *result) { r.Before = latency{} }, notMet, "measured nothing"},
		"not back":           {func(r *result) { r.Back, r.After.Descriptors = false, 11 }, notMet, "descriptors 10 → 11"},
		"no clients":         {func(r *result) { *r = result{} }, met, ""},
		"not promised":       {func(r *result) { r.Unpromised = "no such promise"; r.fail("it hurts") }, notPromised, "no such promise; it hurts"},
		"kept all the same":  {func(r *result) { r.Unpromised = "no such promise" }, met, ""},
		"cannot run":         {func(r *result) { r.Cannot = "no tool"; r.fail("it hurts") }, cannotRun, "no tool"},
		"excused":            {func(r *result) { r.Excused = "no handler"; r.Cannot = "no tool" }, doesNotApply, "no handler"},
		"two things at once": {func(r *result) { r.fail("it hurts"); r.Broken = 3 }, notMet, "it hurts; 3 healthy"},
	} {
		r := calm()
		c.change(&r)
		r.judge()
		if r.Verdict != c.want || !strings.Contains(r.Why, c.why) || (r.Why == "") != (c.why == "") {
			t.Errorf("%s: %s, %q; want %s, %q", name, r.Verdict, r.Why, c.want, c.why)
		}
	}
}

// A row is played again only if nothing but time was wrong.
func TestSlowAlone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*result)
		want   bool
	}{
		"calm":                {func(*result) {}, false},
		"slow":                {func(r *result) { r.During.P99 = time.Second }, true},
		"one waits":           {func(r *result) { r.During.Worst = 2 * time.Second }, true},
		"slow, and a failure": {func(r *result) { r.During.P99 = time.Second; r.fail("it hurts") }, false},
		"slow, and a loss":    {func(r *result) { r.During.P99 = time.Second; r.Broken = 1 }, false},
		"slow, and not back":  {func(r *result) { r.During.P99 = time.Second; r.Back = false }, false},
	} {
		r := calm()
		c.change(&r)
		if r.judge(); r.slow != c.want {
			t.Errorf("%s: %v", name, r.slow)
		}
	}
}

func TestOnlyWeirFailsTheRun(t *testing.T) {
	for _, v := range []verdict{met, notMet, notPromised, cannotRun, doesNotApply} {
		r := result{Verdict: v}
		if got := r.bad(kind{weir: true}); got != (v == notMet) {
			t.Errorf("weir, %s: %v", v, got)
		}
		if r.bad(kind{}) {
			t.Errorf("another server, %s: the run fails", v)
		}
	}
}

func TestWithinBase(t *testing.T) {
	base := usage{100, 10, 20 << 20}
	for _, c := range []struct {
		now  usage
		want bool
	}{
		{base, true},
		{usage{90, 1, 0}, true},
		{usage{101, 10, 20 << 20}, false},
		{usage{100, 10 + goroutinesSlack, 20<<20 + residentSlack}, true},
		{usage{100, 11 + goroutinesSlack, 20 << 20}, false},
		{usage{100, 10, 20<<20 + residentSlack + 1}, false},
	} {
		if got := c.now.within(base); got != c.want {
			t.Errorf("%+v within %+v: %v", c.now, base, got)
		}
	}
}

func TestCounter(t *testing.T) {
	st := state{Engine: asMap(struct {
		Sessions int
		Closed   map[string]uint64
	}{7, map[string]uint64{"idle": 3}})}
	for want, path := range map[int][]string{7: {"Sessions"}, 3: {"Closed", "idle"}, 0: {"Closed", "reset"}} {
		if got := st.counter(path...); got != want {
			t.Errorf("%v is %d, want %d", path, got, want)
		}
	}
	if (state{}).counter("Closed", "idle") != 0 || st.counter("Sessions", "idle") != 0 {
		t.Error("a counter that is not there is not 0")
	}
}

func TestTableOfFaults(t *testing.T) {
	seen := map[string]bool{}
	last := 0
	for _, f := range faults() {
		if f.row < last || f.name == "" || f.how == "" || f.required == "" || f.play == nil || seen[f.name] {
			t.Errorf("row %d %q, after row %d, lacks something or comes twice", f.row, f.name, last)
		}
		last, seen[f.name] = f.row, true
		if (f.wrap != nil) != (len(f.tools) > 0 && f.name != "our socket is destroyed" && !f.own) {
			t.Errorf("row %d %q: a tool that starts the server must be looked for", f.row, f.name)
		}
	}
	for _, row := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 21, 22, 23, 25, 26, 27, 29, 34, 49, 51, 57, 58} {
		if !hasRow(row) {
			t.Errorf("row %d is missing", row)
		}
	}
}
