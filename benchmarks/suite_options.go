package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// suiteOptions are how a suite is run.
type suiteOptions struct {
	plan plan
	dry  bool   // print the plan and do nothing
	out  string // path of the results, without .jsonl and .html
}

// parseSuite reads the flags of the suite and of nothing else; now gives the results their
// name.
func parseSuite(args []string, now time.Time, usage io.Writer) (suiteOptions, error) {
	flags := flag.NewFlagSet("benchmarks suite", flag.ContinueOnError)
	flags.SetOutput(usage)
	quick := flags.Bool("quick", false, "about a minute; indicative only")
	full := flags.Bool("full", false, "everything; it says beforehand how long")
	contenders := flags.String("contenders", "", "comma-separated echo servers, instead of all; the others are compared with the first")
	hubs := flags.String("hubs", "", "comma-separated servers of the fan-out, instead of all")
	tests := flags.String("tests", "", "comma-separated tests, instead of all: echo (with open and bulk), churn, fanout, idle")
	rounds := flags.Int("rounds", 0, "rounds per cell, instead of the plan's")
	dry := flags.Bool("dry", false, "say what would be measured and how long that takes, and do nothing")
	out := flags.String("out", "", "path of the results, to which .jsonl and .html are added; by default results/bench-MODE-TIME")
	flags.Usage = func() {
		fmt.Fprint(usage, "Runs the whole suite and writes a report. make bench is this.\n\n  go run . suite [flags]\n\nflags:\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return suiteOptions{}, err
	}
	o := suiteOptions{plan: usualPlan(), dry: *dry, out: *out}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *quick && *full:
		return o, errors.New("-quick and -full exclude one another")
	case *rounds < 0:
		return o, fmt.Errorf("-rounds must be at least 1, not %d", *rounds)
	case *quick:
		o.plan = quickPlan()
	case *full:
		o.plan = fullPlan()
	}
	if *rounds > 0 {
		o.plan.rounds = *rounds
	}
	if o.out == "" {
		o.out = filepath.Join("results", fmt.Sprintf("bench-%s-%s", o.plan.mode, now.UTC().Format("20060102-150405")))
	}
	if err := o.plan.narrow(*contenders, *hubs, *tests); err != nil {
		return o, err
	}
	return o, nil
}

// narrow leaves out what is not named, if something is.
func (p *plan) narrow(contenders, hubs, tests string) error {
	if contenders != "" {
		names, err := selectContenders(contenders, find)
		if err != nil {
			return err
		}
		for i := range p.echo {
			p.echo[i].contenders = names
		}
		p.idle.contenders = names
	}
	if hubs != "" {
		names, err := selectContenders(hubs, findHub)
		if err != nil {
			return fmt.Errorf("-hubs: %w", err)
		}
		p.hubs = names
	}
	if tests == "" {
		return nil
	}
	wanted := map[string]bool{}
	for test := range strings.SplitSeq(tests, ",") {
		switch test {
		case echoTest, churnTest, fanoutTest, idleTest:
			wanted[test] = true
		default:
			return fmt.Errorf("-tests: unknown test %q: want echo, churn, fanout or idle", test)
		}
	}
	for i := range p.echo {
		if !wanted[echoTest] {
			p.echo[i].cells = nil
		}
		if !wanted[churnTest] {
			p.echo[i].churn = nil
		}
	}
	if !wanted[fanoutTest] {
		p.fanout = nil
	}
	if !wanted[idleTest] {
		p.idle.contenders = nil
	}
	return nil
}
