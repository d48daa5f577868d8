package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// The comparison of two commits: the servers of this tree, built once with its weir and
// once with that of another commit, under the same loads in the same rounds.

// compareOptions are how two commits are compared.
type compareOptions struct {
	ref    string
	cells  []cell
	churn  []churnCell
	fanout []fanoutCell
	rounds int
	round  time.Duration
	warmUp time.Duration
	out    string // path of the results, without .jsonl and .html
}

// compareLine says which commits are compared.
type compareLine struct {
	Ref string `json:"ref"` // with which this tree is compared
}

func compareDefaults() compareOptions {
	return compareOptions{
		cells:  cellsNamed("1x64x1", "10x64x1", "100x64x1", "100x64x16", "1000x64x1", "1000x64x16", "10x65536x16"),
		churn:  []churnCell{{64, 64}},
		fanout: []fanoutCell{{Subscribers: 100, Size: 64, InFlight: 64}, {Subscribers: 1000, Size: 64, InFlight: 64}},
		rounds: roundsForInterval, round: 250 * time.Millisecond, warmUp: 80 * time.Millisecond,
	}
}

func parseCompare(args []string, now time.Time, usage io.Writer) (compareOptions, error) {
	o := compareDefaults()
	flags := flag.NewFlagSet("benchmarks compare", flag.ContinueOnError)
	flags.SetOutput(usage)
	cells := flags.String("cells", "", "comma-separated echo cells, by name or as patterns with * over the default ones; what is not named, churn too, is then left out")
	hubs := flags.String("fanout", "", "the same of fan-out")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "rounds per cell")
	flags.DurationVar(&o.round, "round-duration", o.round, "measured time of one load")
	flags.DurationVar(&o.warmUp, "warm-up", o.warmUp, "time before the measured time")
	flags.StringVar(&o.out, "out", "", "path of the results, to which .jsonl and .html are added; by default results/compare-REF-TIME")
	flags.Usage = func() {
		fmt.Fprint(usage, "Compares weir in this tree with weir at another commit.\n\n  go run . compare [flags] REF\n\nflags:\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() != 1:
		return o, errors.New("compare: want one commit, like HEAD~1")
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds must be at least 1, not %d", o.rounds)
	case o.round <= 0:
		return o, fmt.Errorf("-round-duration must be positive, not %v", o.round)
	case o.warmUp < 0:
		return o, fmt.Errorf("-warm-up must not be negative, not %v", o.warmUp)
	}
	o.ref = flags.Arg(0)
	if o.out == "" {
		name := strings.NewReplacer("/", "-", "~", "-", "^", "-").Replace(o.ref)
		o.out = filepath.Join("results", fmt.Sprintf("compare-%s-%s", name, now.UTC().Format("20060102-150405")))
	}
	if *cells == "" && *hubs == "" {
		return o, nil
	}
	return o, o.narrow(*cells, *hubs)
}

// narrow leaves only the cells that are named.
func (o *compareOptions) narrow(cells, hubs string) (err error) {
	all := *o
	o.cells, o.churn, o.fanout = nil, nil, nil
	if cells != "" {
		if o.cells, err = selectCells("-cells", all.cells, cells, parseCell); err != nil {
			return err
		}
	}
	for _, c := range o.cells {
		if c.Share > 0 {
			return fmt.Errorf("-cells: %v: there are no rivals to take a share of; name a rate, like 100x64@50000", c)
		}
	}
	if hubs != "" {
		o.fanout, err = selectCells("-fanout", all.fanout, hubs, parseFanoutCell)
	}
	return err
}

func compareCommand(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parseCompare(args, time.Now(), log)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "building weir here and at %s\n", o.ref)
	v, err := buildVersions(ctx, o.ref)
	if err != nil {
		return interrupted(ctx, err)
	}
	kept, err := createNewResults(o.out + ".jsonl")
	if err != nil {
		return errors.Join(err, v.remove())
	}
	here := readSetting("go run . compare " + o.ref)
	kept.tellSetting(out, here)
	kept.write("suite", suiteLine{Rounds: o.rounds, Notes: notesOf(here)})
	kept.write("compare", compareLine{v.ref})
	fmt.Fprintf(out, "with     %s\nrounds   %d of %v after %v, interleaved; server and load in two processes, over loopback\n\n", v.ref, o.rounds, o.round, o.warmUp)

	err = o.measure(ctx, v, exe, log, kept)
	kept.tellEnd(ctx)
	printComparisons(out, kept.seen.comparisons())
	err = errors.Join(err, kept.close(), writePage(o.out+".html", []*results{&kept.seen}), v.remove())
	fmt.Fprintf(out, "\nresults  %s.jsonl\nreport   %s.html\n", o.out, o.out)
	return err
}

// measure goes through all cells. The other commit comes first: it is what this tree is
// compared with, and runs twice.
func (o compareOptions) measure(ctx context.Context, v *versions, exe string, log io.Writer, kept *recorder) error {
	left := newEstimate((len(o.cells) + len(o.churn) + len(o.fanout)) * o.rounds)
	var echo, hubs []string
	for _, name := range ourModes(echoTest) {
		echo = append(echo, name+"@"+v.ref, name)
	}
	for _, name := range ourModes(fanoutTest) {
		hubs = append(hubs, name+"@"+v.ref, name)
	}
	b := &interleaver{exe: exe, log: log, rounds: o.rounds, left: left, record: kept.write}
	if err := o.measureEcho(ctx, b, echo, v); err != nil {
		return err
	}
	f := fanoutDefaults()
	f.cells, f.contenders, f.rounds, f.round, f.warmUp = o.fanout, hubs, o.rounds, o.round, o.warmUp
	fan := newFanoutBench(f, exe, log, kept)
	fan.left = left
	fan.start = func(ctx context.Context, name string, size int) (*server, error) {
		return v.start(ctx, name, strconv.Itoa(size))
	}
	return fan.run(ctx)
}

func (o compareOptions) measureEcho(ctx context.Context, b *interleaver, names []string, v *versions) (err error) {
	b.servers, err = startAll(names, func(name string) (*server, error) { return v.start(ctx, name) }, b.log)
	defer func() { stopAll(b.servers) }()
	if err != nil {
		return interrupted(ctx, err)
	}
	for _, c := range o.cells {
		if err := b.run(ctx, echoJob{c, o.warmUp, o.round}); err != nil {
			return err
		}
	}
	for _, c := range o.churn {
		if err := b.run(ctx, churnJob{c, o.warmUp, o.round}); err != nil {
			return err
		}
	}
	return nil
}

// comparison is one aspect of one cell: this tree to the other commit.
type comparison struct {
	test, cell, mode string
	aspect           aspect
	ratio            ratio
	p                float64 // by exchanging partners
	corrected        float64 // for the number of comparisons
}

// comparisons are all aspects of all cells in which both commits took part.
func (r *results) comparisons() []comparison {
	var all []comparison
	var ps []float64
	for _, f := range r.fields() {
		aspects := []aspect{throughput, tail, processor}
		if mainAspect(f.test).less {
			aspects = aspects[1:]
		}
		for _, mode := range ourModes(f.test) {
			other := mode + "@" + r.compare.Ref
			if len(f.rounds[mode]) == 0 || len(f.rounds[other]) == 0 {
				continue
			}
			for _, a := range aspects {
				xs, ys := pairs(f.rounds[mode], f.rounds[other], a.of)
				p := exchangeTest(xs, ys)
				ps = append(ps, p)
				all = append(all, comparison{f.test, f.cell, labelOf(f.test, mode), a, ratioOf(xs, ys), p, 0})
			}
		}
	}
	for i, p := range holm(ps) {
		all[i].corrected = p
	}
	return all
}

// significance is below what a difference counts as shown.
const significance = 0.05

// says puts a comparison into a word or two.
func (c comparison) says() string {
	switch {
	case c.corrected >= significance:
		return "no difference shown"
	case (c.ratio.Median < 1) == c.aspect.less:
		return "better"
	default:
		return "worse"
	}
}

func printComparisons(w io.Writer, all []comparison) {
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing was measured")
		return
	}
	fmt.Fprintf(w, "ratio: this tree to the other commit in the same round, median and 95 %% interval; p: how often chance alone differs as\nmuch; corrected for %d comparisons\n\n", len(all))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "test\tcell\tmode\taspect\tratio\t95 %\tp\tcorrected\t\t")
	for _, c := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%v\t%.4f\t%.4f\t%s\t\n", c.test, c.cell, c.mode, c.aspect.name, c.ratio, c.p, c.corrected, c.says())
	}
	t.Flush()
}
