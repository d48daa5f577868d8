package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
)

// The suite: all tests, one after the other, into one file of results and one page.
//
//  1. say what will be measured, with which settings, and how long that takes
//  2. echo, at fixed rates, bulk, churn: one set of servers for all of their cells
//  3. fan-out
//  4. idle memory
//  5. print the tables, write the page; also of an interrupted run
//
// A contender that is missing or fails is told of and left out; the rest goes on.

type suite struct {
	plan    plan
	exe     string
	log     io.Writer
	results *recorder
	left    *estimate
	counter *callCounter // nil: nothing here counts system calls
	absent  map[string]bool
	broken  int // failures of weir, or of the floor
}

// errOwnFailure is the end of a suite in which weir, or the floor, failed.
var errOwnFailure = errors.New("weir or the floor failed; see above, and the report")

func suiteCommand(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parseSuite(args, time.Now(), log)
	if err != nil {
		return err
	}
	if o.dry {
		o.plan.print(out, time.Now())
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	kept, err := createNewResults(o.out + ".jsonl")
	if err != nil {
		return err
	}
	here := readSetting(suiteLineOf(args))
	kept.tellSetting(out, here)
	o.plan.print(out, time.Now())
	kept.write("suite", suiteLine{Mode: o.plan.mode, Rounds: o.plan.rounds, Notes: notesOf(here)})

	s := &suite{plan: o.plan, exe: exe, log: log, results: kept, left: &estimate{total: o.plan.time()}, absent: map[string]bool{}}
	s.describe(out)
	s.prepareCounter(ctx)
	err = s.run(ctx)
	kept.tellEnd(ctx)
	if len(kept.seen.observations) > 0 {
		kept.tellSummaries(out)
	}
	printFanoutMemory(out, kept.seen.memories)
	if len(kept.seen.idle) > 0 {
		printIdleTable(out, kept.seen.idleSummaries())
	}
	err = errors.Join(err, kept.close(), writePage(o.out+".html", []*results{&kept.seen}))
	fmt.Fprintf(out, "\nresults  %s.jsonl\nreport   %s.html\n", o.out, o.out)
	return err
}

// suiteLineOf is the command, without where its results go.
func suiteLineOf(args []string) string {
	line := "go run . suite"
	for i := 0; i < len(args); i++ {
		name := strings.TrimLeft(args[i], "-")
		if name == "out" {
			i++
			continue
		}
		if !strings.HasPrefix(name, "out=") {
			line += " " + args[i]
		}
	}
	return line
}

// busyLoad is from what load average on a machine counts as busy.
const busyLoad = 0.5

// notesOf are what the machine gives reason to say.
func notesOf(s setting) []string {
	var notes []string
	first, _, _ := strings.Cut(s.Load, " ")
	if load, err := strconv.ParseFloat(first, 64); err == nil && load > busyLoad {
		notes = append(notes, fmt.Sprintf("The machine was not quiet: its load average was %s before the run.", first))
	}
	if strings.HasSuffix(s.Commit, " with changes") {
		notes = append(notes, "There were changes that are not in the commit.")
	}
	return notes
}

// describe records and prints how the contenders are set up.
func (s *suite) describe(out io.Writer) {
	fmt.Fprintln(out)
	tell := func(a aboutLine) {
		s.results.write("about", a)
		fmt.Fprintf(out, "  %-14s %s\n", a.Contender, a.About)
	}
	for _, c := range contenders() {
		if slices.ContainsFunc(s.plan.echo, func(p echoPart) bool { return slices.Contains(p.contenders, c.name) }) {
			tell(aboutLine{c.name, false, c.about})
		}
	}
	if len(s.plan.fanout) == 0 {
		return
	}
	fmt.Fprintln(out, "fan-out:")
	for _, h := range hubs() {
		if slices.Contains(s.plan.hubs, h.name) {
			tell(aboutLine{h.name, true, h.about})
		}
	}
}

// versions records what programs of others' say that they are, once they run.
func (s *suite) versions(servers []*server) {
	for _, x := range servers {
		c, err := find(x.name)
		if err != nil || x.Version == "" {
			continue
		}
		s.results.write("about", aboutLine{x.name, false, c.about + "; " + x.Version})
		fmt.Fprintf(s.log, "%s is %s\n", x.name, x.Version)
	}
}

// prepareCounter looks for something that counts system calls.
func (s *suite) prepareCounter(ctx context.Context) {
	if !s.plan.calls {
		return
	}
	tool, err := findCallTool(ctx)
	if err != nil {
		s.miss("system calls", err)
		return
	}
	s.counter = &callCounter{tool: tool, record: s.results.write, log: s.log}
}

// miss records, once, what does not take part.
func (s *suite) miss(name string, err error) {
	if s.absent[name] {
		return
	}
	s.absent[name] = true
	line := missingLine{Contender: name, Why: err.Error()}
	var missing *serving.Missing
	if errors.As(err, &missing) {
		line.Why, line.Type = missing.Why, missing.Type
	}
	fmt.Fprintf(s.log, "missing: %s: %v\n", name, err)
	s.results.write("missing", line)
}

// failed records a load that has failed.
func (s *suite) failed(f failure) error {
	if isOurs(f.Contender) || isFloor(f.Contender) {
		s.broken++
	}
	return s.results.write("failure", f)
}

// startable turns whatever keeps a contender from starting into its being missing.
func (s *suite) startable(ctx context.Context, name string, started *server, err error) (*server, error) {
	if err == nil || ctx.Err() != nil {
		return started, err
	}
	s.miss(name, err)
	if isOurs(name) {
		s.broken++
	}
	return nil, &serving.Missing{Why: err.Error()}
}

func (s *suite) run(ctx context.Context) error {
	for _, part := range s.plan.echo {
		if err := s.echo(ctx, part); err != nil {
			return err
		}
	}
	if err := s.fanout(ctx); err != nil {
		return err
	}
	if err := s.idle(ctx); err != nil {
		return err
	}
	if s.broken > 0 {
		return errOwnFailure
	}
	return nil
}
