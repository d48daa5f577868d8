package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// options are what an echo run does.
type options struct {
	cells       []cell
	churn       []churnCell // instead
	contenders  []string    // the first is what the others are compared with
	rounds      int
	round       time.Duration // measured time of one load
	warmUp      time.Duration
	resultsPath string
}

// roundsForInterval is from how many rounds on the interval deserves trust.
const roundsForInterval = 15

func echoDefaults() options {
	return options{
		cells:      defaultCells(),
		contenders: []string{"floor", "weir", "std"},
		rounds:     roundsForInterval,
		round:      300 * time.Millisecond,
		warmUp:     100 * time.Millisecond,
	}
}

// spinDefaults compare the latency of one connection with and without spinning.
func spinDefaults() options {
	o := echoDefaults()
	o.cells = []cell{{Connections: 1, Size: 64, Depth: 1}}
	o.contenders = []string{"floor", "floor-spin", "weir-spin"}
	return o
}

// churnDefaults are of connections that come and go.
func churnDefaults() options {
	o := echoDefaults()
	o.cells, o.churn = nil, churnCells()
	return o
}

// parse returns o changed by args.
func (o options) parse(args []string, usage io.Writer) (options, error) {
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(usage)
	cells := flags.String("cells", "", "comma-separated cells, by name or as patterns with * over the default ones")
	names := flags.String("contenders", strings.Join(o.contenders, ","), "comma-separated contenders; the others are compared with the first")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "rounds per cell")
	flags.DurationVar(&o.round, "round-duration", o.round, "measured time of one load")
	flags.DurationVar(&o.warmUp, "warm-up", o.warmUp, "time before the measured time")
	flags.StringVar(&o.resultsPath, "json", "", "file for every single measurement, as JSON lines")
	flags.Usage = func() { printUsage(usage, flags, o) }
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds must be at least 1, not %d", o.rounds)
	case o.round <= 0:
		return o, fmt.Errorf("-round-duration must be positive, not %v", o.round)
	case o.warmUp < 0:
		return o, fmt.Errorf("-warm-up must not be negative, not %v", o.warmUp)
	}
	var err error
	switch {
	case *cells == "":
	case o.churn != nil:
		o.churn, err = selectCells("-cells", o.churn, *cells, parseChurnCell)
	default:
		o.cells, err = selectCells("-cells", defaultCells(), *cells, parseCell)
	}
	if err = errors.Join(err, checkShares(o.cells)); err != nil {
		return o, err
	}
	o.contenders, err = selectContenders(*names, find)
	return o, err
}

// selectContenders checks a list of names, each of which find must know.
func selectContenders[C any](list string, find func(name string) (C, error)) ([]string, error) {
	names := strings.Split(list, ",")
	seen := map[string]bool{}
	for _, name := range names {
		if _, err := find(name); err != nil {
			return nil, fmt.Errorf("-contenders: %w", err)
		}
		if seen[name] {
			return nil, fmt.Errorf("-contenders: %s is named twice", name)
		}
		seen[name] = true
	}
	return names, nil
}

func printUsage(w io.Writer, flags *flag.FlagSet, o options) {
	fmt.Fprint(w, `Measures echo servers on loopback, side by side.

  go run . suite [flags]       the whole suite, with a report; see make bench
  go run . compare REF         weir here and at another commit, with significance
  go run . report FILE...      a report of results that were kept

  go run . [flags]             round trips/s, latency and processor time of each cell
  go run . churn [flags]       connections that come, echo one message, and go
  go run . idle [flags]        memory per idle connection
  go run . spin [flags]        latency of one connection, with spinning and without
  go run . fanout [flags]      one message to many connections; -h has its contenders and cells
  go run . rpc [flags]         calls, next to package net/rpc; -h has its contenders and cells

contenders:
`)
	for _, c := range contenders() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.about)
	}
	if o.churn != nil {
		fmt.Fprintln(w, "\ncells (connections at once x bytes of the one message):")
		for _, c := range o.churn {
			fmt.Fprintf(w, "  %v\n", c)
		}
	} else {
		fmt.Fprintln(w, `
cells (connections x bytes x messages in flight on each; CONNECTIONSxSIZE@RATE sends so many messages/s, each
when it is due; @SHARE% so many per cent of what the fastest rival did in CONNECTIONSxSIZEx1 before):`)
		for _, c := range o.cells {
			fmt.Fprintf(w, "  %v\n", c)
		}
	}
	fmt.Fprintln(w, "\nflags:")
	flags.PrintDefaults()
}
