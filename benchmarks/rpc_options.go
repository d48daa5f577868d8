package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// rpcOptions are what a run of calls does.
type rpcOptions struct {
	cells       []cell
	contenders  []string // the first is what the others are compared with
	rounds      int
	round       time.Duration // measured time of one load
	warmUp      time.Duration
	resultsPath string
}

func rpcDefaults() rpcOptions {
	return rpcOptions{
		cells: []cell{
			callers(1, 64, 1), callers(10, 64, 1), callers(100, 64, 1), callers(10, 64, 16), callers(100, 64, 16),
			callers(10, 1024, 16), callers(100, 1024, 16), callers(10, 64<<10, 1),
		},
		contenders: []string{"net/rpc", "weir", "weir-inline"},
		rounds:     roundsForInterval,
		round:      300 * time.Millisecond,
		warmUp:     100 * time.Millisecond,
	}
}

// callers is a cell of so many connections with so many callers on each.
func callers(connections, size, each int) cell {
	return cell{Connections: connections, Size: size, Depth: each}
}

// contenderOf is the contender whose server has this name: the base has two.
func (o rpcOptions) contenderOf(server string) string { return strings.TrimSuffix(server, again) }

// parse returns o changed by args.
func (o rpcOptions) parse(args []string, usage io.Writer) (rpcOptions, error) {
	flags := flag.NewFlagSet("benchmarks rpc", flag.ContinueOnError)
	flags.SetOutput(usage)
	cells := flags.String("cells", "", "comma-separated cells, as CONNECTIONSxSIZExCALLERS or as patterns with * over the default ones")
	names := flags.String("contenders", strings.Join(o.contenders, ","), "comma-separated contenders; the others are compared with the first")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "rounds per cell")
	flags.DurationVar(&o.round, "round-duration", o.round, "measured time of one load")
	flags.DurationVar(&o.warmUp, "warm-up", o.warmUp, "time before the measured time")
	flags.StringVar(&o.resultsPath, "json", "", "file for every single measurement, as JSON lines")
	flags.Usage = func() { printRPCUsage(usage, flags, o) }
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds must be at least 1, not %d", o.rounds)
	case o.round <= 0:
		return o, fmt.Errorf("-round-duration must be positive, not %v", o.round)
	case o.warmUp < 0:
		return o, fmt.Errorf("-warm-up must not be negative, not %v", o.warmUp)
	}
	var err error
	if *cells != "" {
		if o.cells, err = selectCells("-cells", o.cells, *cells, parseCell); err != nil {
			return o, err
		}
	}
	for _, c := range o.cells {
		if c.Rate > 0 || c.Share > 0 {
			return o, fmt.Errorf("-cells: %v has a rate, and calls are made by callers who wait", c)
		}
	}
	o.contenders, err = selectContenders(*names, findRPC)
	return o, err
}

func printRPCUsage(w io.Writer, flags *flag.FlagSet, o rpcOptions) {
	fmt.Fprint(w, `Measures calls on loopback, side by side: each is answered with the bytes that it has.

  go run . rpc [flags]     calls/s, latency and processor time of each cell

contenders:
`)
	for _, c := range rpcContenders() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.about)
	}
	fmt.Fprintln(w, "\ncells (connections x bytes x callers on each, who wait for their answers):")
	for _, c := range o.cells {
		fmt.Fprintf(w, "  %v\n", c)
	}
	fmt.Fprintln(w, "\nflags:")
	flags.PrintDefaults()
}
