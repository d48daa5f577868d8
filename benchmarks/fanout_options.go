package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weirnet/weir/internal/load"
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
	burst       int  // what each subscriber gets before such a measurement, bytes
	resultsPath string
}

func fanoutDefaults() fanoutOptions {
	return fanoutOptions{
		cells:      fanoutCells(),
		contenders: []string{"floor", "weir", "std", "std-batch"},
		publishers: 1,
		rounds:     roundsForInterval,
		round:      400 * time.Millisecond,
		warmUp:     150 * time.Millisecond,
		burst:      256 << 10,
	}
}

// stuckCells are what -stuck measures unless cells are named.
func stuckCells() []fanoutCell {
	return []fanoutCell{{Subscribers: 1000, Size: 1024, Rate: 90}, {Subscribers: 9000, Size: 1024, Rate: 10}}
}

// stuckRound is how long -stuck measures unless told otherwise: ten messages of the
// slowest cell.
const stuckRound = time.Second

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
	flags.IntVar(&o.burst, "burst", o.burst, "with -stuck: bytes that each subscriber gets before a measurement, to fill the buffers of the stopped one")
	flags.StringVar(&o.resultsPath, "json", "", "file for every single measurement, as JSON lines")
	flags.Usage = func() { printFanoutUsage(usage, flags, o) }
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case o.publishers < 1 || o.publishers > hubQueue/load.FanBacklog:
		return o, fmt.Errorf("-publishers must be 1 to %d, not %d", hubQueue/load.FanBacklog, o.publishers)
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds must be at least 1, not %d", o.rounds)
	case o.round <= 0:
		return o, fmt.Errorf("-round-duration must be positive, not %v", o.round)
	case o.warmUp < 0:
		return o, fmt.Errorf("-warm-up must not be negative, not %v", o.warmUp)
	case o.burst < 1:
		return o, fmt.Errorf("-burst must be at least 1, not %d", o.burst)
	}
	if o.stuck {
		o.cells = stuckCells()
		if !isSet(flags, "round-duration") {
			o.round = stuckRound
		}
	}
	var err error
	if *cells != "" {
		if o.cells, err = selectCells("-cells", o.cells, *cells, parseFanoutCell); err != nil {
			return o, err
		}
	}
	for _, c := range o.cells {
		if c.InFlight*o.publishers > hubQueue {
			return o, fmt.Errorf("cell %v with %d publishers: a hub need not take more than %d unfinished messages", c, o.publishers, hubQueue)
		}
		if o.stuck && c.Rate == 0 {
			return o, fmt.Errorf("-stuck: cell %v has no rate: want one like 1000x1024@90", c)
		}
	}
	o.contenders, err = selectContenders(*names, findHub)
	return o, err
}

// isSet says whether a flag was given.
func isSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
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
			fmt.Fprintf(w, "  %-13s %s\n", h.name, h.about)
		}
	}
}
