package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// fanoutOptions are what a fan-out run does.
type fanoutOptions struct {
	cells       []fanoutCell
	contenders  []string // the first is what the others are compared with
	publishers  int
	rounds      int
	round       time.Duration // measured time of one load
	warmUp      time.Duration
	stuck       bool // compare with one subscriber stopped and without
	resultsPath string
}

func fanoutDefaults() fanoutOptions {
	return fanoutOptions{
		cells:      fanoutCells(),
		contenders: []string{"floor", "std"},
		publishers: 1,
		rounds:     roundsForInterval,
		round:      400 * time.Millisecond,
		warmUp:     150 * time.Millisecond,
	}
}

// stuckCells are what -stuck measures unless cells are named.
func stuckCells() []fanoutCell {
	return []fanoutCell{{Subscribers: 1000, Size: 1024, Rate: 90}, {Subscribers: 9000, Size: 64, Rate: 10}}
}

// parse returns o changed by args.
func (o fanoutOptions) parse(args []string, usage io.Writer) (fanoutOptions, error) {
	flags := flag.NewFlagSet("benchmarks fanout", flag.ContinueOnError)
	flags.SetOutput(usage)
	cells := flags.String("cells", "", "comma-separated cells, as SUBSCRIBERSxSIZExINFLIGHT, SUBSCRIBERSxSIZE@RATE, or as patterns with * over the default ones")
	names := flags.String("contenders", strings.Join(o.contenders, ","), "comma-separated contenders; the others are compared with the first")
	flags.IntVar(&o.publishers, "publishers", o.publishers, "connections that send, each with a window of its own")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "rounds per cell")
	flags.DurationVar(&o.round, "round-duration", o.round, "measured time of one load")
	flags.DurationVar(&o.warmUp, "warm-up", o.warmUp, "time before the measured time")
	flags.BoolVar(&o.stuck, "stuck", false, "measure what one stopped subscriber costs the others; cells must have a rate")
	flags.StringVar(&o.resultsPath, "json", "", "file for every single measurement, as JSON lines")
	flags.Usage = func() { printFanoutUsage(usage, flags, o) }
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case o.publishers < 1:
		return o, fmt.Errorf("-publishers must be at least 1, not %d", o.publishers)
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds must be at least 1, not %d", o.rounds)
	case o.round <= 0:
		return o, fmt.Errorf("-round-duration must be positive, not %v", o.round)
	case o.warmUp < 0:
		return o, fmt.Errorf("-warm-up must not be negative, not %v", o.warmUp)
	}
	if o.stuck {
		o.cells = stuckCells()
	}
	var err error
	if *cells != "" {
		if o.cells, err = selectCells(o.cells, *cells, parseFanoutCell); err != nil {
			return o, err
		}
	}
	for _, c := range o.cells {
		if o.stuck && c.Rate == 0 {
			return o, fmt.Errorf("-stuck: cell %v has no rate: want one like 1000x1024@90", c)
		}
	}
	o.contenders, err = selectContenders(*names, findHub)
	return o, err
}

func printFanoutUsage(w io.Writer, flags *flag.FlagSet, o fanoutOptions) {
	fmt.Fprint(w, `Measures hubs on loopback, side by side: servers that send one message to many.

  go run . fanout [flags]         deliveries/s, latency, processor time and memory
  go run . fanout -stuck [flags]  what one stopped subscriber costs the others

contenders:
`)
	printHubs(w, names(hubs()))
	fmt.Fprintln(w, "\ncells (subscribers x bytes x messages in flight, or subscribers x bytes @ messages/s):")
	for _, c := range o.cells {
		fmt.Fprintf(w, "  %v\n", c)
	}
	fmt.Fprintln(w, "\nflags:")
	flags.PrintDefaults()
}

func names(hubs []hub) []string {
	var names []string
	for _, h := range hubs {
		names = append(names, h.name)
	}
	return names
}

// printHubs tells how each of these is set up.
func printHubs(w io.Writer, names []string) {
	for _, name := range names {
		if h, err := findHub(name); err == nil {
			fmt.Fprintf(w, "  %-12s %s\n", h.name, h.about)
		}
	}
}
