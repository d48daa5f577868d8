package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
)

func TestSuiteOptions(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	o, err := parseSuite(nil, now, io.Discard)
	if err != nil || o.plan.mode != usualMode || o.out != filepath.Join("results", "bench-usual-20260304-050607") {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = parseSuite(strings.Fields("-quick -rounds 5 -contenders std,weir -hubs std -tests echo,fanout -out x -dry"), now, io.Discard)
	if err != nil || o.plan.mode != quickMode || o.plan.rounds != 5 || o.out != "x" || !o.dry {
		t.Errorf("%+v, %v", o, err)
	}
	p := o.plan
	if !reflect.DeepEqual(p.echo[0].contenders, []string{"std", "weir"}) || p.echo[0].churn != nil || p.idle.contenders != nil || len(p.fanout) == 0 {
		t.Errorf("%+v", p)
	}
	for _, args := range []string{"-quick -full", "-rounds -1", "-contenders nobody", "-hubs gnats", "-tests nothing", "more"} {
		if _, err := parseSuite(strings.Fields(args), now, io.Discard); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}

// The plans are as long as they are said to be, and what they name exists.
func TestPlans(t *testing.T) {
	for _, test := range []struct {
		plan        plan
		least, most time.Duration
	}{
		{quickPlan(), 30 * time.Second, 75 * time.Second},
		{usualPlan(), 7 * time.Minute, 11 * time.Minute},
		{fullPlan(), 40 * time.Minute, 2 * time.Hour},
	} {
		p := test.plan
		if takes := p.time(); takes < test.least || takes > test.most {
			t.Errorf("%s takes %v", p.mode, takes)
		}
		var all []cell
		for _, e := range p.echo {
			all = append(all, e.cells...)
			for _, name := range e.contenders {
				if _, err := find(name); err != nil {
					t.Errorf("%s: %v", p.mode, err)
				}
			}
		}
		if err := checkShares(all); err != nil {
			t.Errorf("%s: %v", p.mode, err)
		}
		for _, name := range p.hubs {
			if _, err := findHub(name); err != nil {
				t.Errorf("%s: %v", p.mode, err)
			}
		}
		var text strings.Builder
		p.print(&text, time.Now())
		for _, want := range []string{p.mode, "echo", "churn", "fan-out", "idle", "takes    about", "Ctrl-C"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%q is missing in\n%s", want, text.String())
			}
		}
	}
}

func TestCommandOfASuiteLeavesOutItsPaths(t *testing.T) {
	got := suiteLineOf([]string{"-quick", "-out", "/somewhere/x", "--out=/else", "-rounds", "3"})
	if got != "go run . suite -quick -rounds 3" {
		t.Errorf("got %q", got)
	}
}

func TestNotesTellOfABusyMachine(t *testing.T) {
	if n := notesOf(setting{Load: "0.10 0.20 0.30", Commit: "abc"}); len(n) != 0 {
		t.Errorf("got %q", n)
	}
	if n := notesOf(setting{Load: "3.10 0.20 0.30", Commit: "abc with changes"}); len(n) != 2 || !strings.Contains(n[0], "3.10") {
		t.Errorf("got %q", n)
	}
}

// tinyPlan is a suite of a few seconds.
func tinyPlan() plan {
	p := quickPlan()
	names := []string{"floor", "weir-pool", "std"}
	p.rounds, p.round, p.warmUp, p.callsOf = 2, 20*time.Millisecond, 5*time.Millisecond, 20*time.Millisecond
	p.echo = []echoPart{{contenders: names, cells: cellsNamed("2x64x1", "2x64@50%", "2x65536x1"), churn: []churnCell{{2, 64}}}}
	p.fanout = []fanoutCell{{5, 64, 4, 0}, {5, 64, 0, 200}}
	p.hubs = []string{"floor", "weir", "std"}
	p.idle = idleOptions{contenders: []string{"weir"}, from: 20, to: 60, steps: 1}
	return p
}

func startSuite(t *testing.T, p plan, log io.Writer) *suite {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &suite{plan: p, exe: exe, log: log, results: &recorder{}, left: &estimate{total: p.time()}, absent: map[string]bool{}}
}

func TestSuiteEndToEnd(t *testing.T) {
	var log strings.Builder
	var s *suite
	for p := tinyPlan(); ; p.round *= 4 {
		log.Reset()
		s = startSuite(t, p, &log)
		if err := s.results.write("suite", suiteLine{Mode: quickMode, Rounds: 2}); err != nil {
			t.Fatal(err)
		}
		s.describe(io.Discard)
		s.prepareCounter(t.Context())
		if err := s.run(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		// A rival that gets no turn in rounds as short as these has no rate to take a share of.
		without := slices.ContainsFunc(s.results.seen.missing, func(m missingLine) bool { return m.Contender == "2x64@50%" })
		if !without || p.round > time.Second {
			break
		}
	}
	r := &s.results.seen
	if tests := strings.Join(r.tests(), " "); tests != "echo open bulk churn fanout pace" {
		t.Errorf("tests are %s", tests)
	}
	if s.counter != nil && len(r.calls) < 6 {
		t.Errorf("%d counts of system calls", len(r.calls))
	}
	if len(r.idle) != 4 || len(r.probes) != 2 || len(r.memories) < 3 || len(r.abouts) != 6 || len(r.failures) != 0 {
		t.Errorf("%d idle samples, %d memories, %d abouts, failures %v", len(r.idle), len(r.memories), len(r.abouts), r.failures)
	}
	if !strings.Contains(log.String(), "% done") {
		t.Errorf("no progress in\n%s", log.String())
	}
	var page strings.Builder
	if err := writeSheet(&page, []*results{r}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Indicative only", "weir, mode pool", "Echo, open loop", "2x64@50%", "Churn", "Fan-out at a fixed rate", "Idle memory", "Contenders and their settings"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is missing on the page", want)
		}
	}
}

// A contender that does not start, or fails, is told of, and the others go on. If it is
// weir the suite fails in the end.
func TestSuiteGoesOnWithoutWhoFails(t *testing.T) {
	p := tinyPlan()
	p.echo[0].cells, p.echo[0].churn, p.fanout, p.idle.contenders = p.echo[0].cells[:1], nil, nil, nil
	s := startSuite(t, p, io.Discard)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.startable(t.Context(), "gnet", nil, errors.New("no luck")); !errors.As(err, new(*serving.Missing)) {
		t.Errorf("got %v", err)
	}
	if err := s.failed(failure{Test: echoTest, Cell: "1x1x1", Contender: "weir-pool", Error: "wrong byte"}); err != nil {
		t.Fatal(err)
	}
	s.plan.echo = nil
	if err := s.run(t.Context()); !errors.Is(err, errOwnFailure) {
		t.Errorf("got %v", err)
	}
	r := &s.results.seen
	warnings := strings.Join(r.warnings(), "\n")
	for _, want := range []string{"Missing: gnet. no luck", "weir pool failed in echo 1x1x1, round 1: wrong byte"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("%q is missing in\n%s", want, warnings)
		}
	}
}

// brokenJob fails on one server.
type brokenJob struct{ echoJob }

func (j brokenJob) load(_ context.Context, _ *interleaver, s *server, round int) (any, string, error) {
	if s.name == "bad" && round == 1 {
		return nil, "", errors.New("wrong byte")
	}
	return sample{Cell: j.cell, Contender: s.name, Round: round}, "", nil
}

func TestInterleaverLeavesOutWhoHasFailed(t *testing.T) {
	kept := &recorder{}
	var failures []failure
	b := &interleaver{
		log: io.Discard, rounds: 3, left: newEstimate(3), record: kept.write, servers: []*server{{name: "good"}, {name: "bad"}},
		failed: func(f failure) error { failures = append(failures, f); return nil },
	}
	if err := b.run(t.Context(), brokenJob{echoJob{cell: cellsNamed("1x1x1")[0]}}); err != nil {
		t.Fatal(err)
	}
	by := byContender(kept.seen.observations)
	if len(by["good"]) != 3 || len(by["bad"]) != 1 || len(failures) != 1 || failures[0].Round != 1 || len(b.alive()) != 1 {
		t.Errorf("%d and %d samples, failures %+v", len(by["good"]), len(by["bad"]), failures)
	}
}

// Ctrl-C keeps what there is, and still writes the page.
func TestInterruptedSuiteWritesItsReport(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	path := filepath.Join(t.TempDir(), "r")
	var out strings.Builder
	args := strings.Fields("-quick -contenders floor,weir-pool,std -rounds 1000 -out " + path)
	err := suiteCommand(ctx, args, &out, cancelAfterRound{cancel})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	r, err := readResults(path + ".jsonl")
	if err != nil || len(r.observations) == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	page, err := os.ReadFile(path + ".html")
	if err != nil || !strings.Contains(string(page), "100x64x1") || !strings.Contains(string(page), "Interrupted") {
		t.Errorf("no page: %v", err)
	}
	if !strings.Contains(out.String(), "verified") || !strings.Contains(out.String(), "r.html") {
		t.Errorf("no table in\n%s", out.String())
	}
	if _, err := createNewResults(path + ".jsonl"); err == nil {
		t.Error("results that are there were overwritten")
	}
}

// cancelAfterRound ends a run when it has told of a round.
type cancelAfterRound struct{ cancel context.CancelFunc }

func (c cancelAfterRound) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "round 1/") {
		c.cancel()
	}
	return len(p), nil
}
