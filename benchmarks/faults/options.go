//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// options are what a run does.
type options struct {
	servers  []string
	rows     []int // empty: all
	quick    bool
	json     string // file for the results, or empty
	markdown string // file for the side-by-side table, or empty
	evidence string // directory for what processes that do not answer were doing, or empty
}

// before is how long healthy clients are measured before a fault, and at least
// during it; warmUp is how long they run before that.
func (o options) before() time.Duration { return pick(o, time.Second, 300*time.Millisecond) }
func (o options) warmUp() time.Duration { return pick(o, 300*time.Millisecond, 150*time.Millisecond) }

// quickFactor is how much longer things may take in a quick run, which may be on a
// machine that has much else to do.
const quickFactor = 3

// allow bounds how long something may take, d in a full run.
func (o options) allow(d time.Duration) time.Duration { return pick(o, d, quickFactor*d) }

// pick returns one of two amounts: the full one, or that of a quick run.
func pick[T any](o options, full, quick T) T {
	if o.quick {
		return quick
	}
	return full
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(usage)
	names := flags.String("servers", strings.Join(defaultServers(), ","), "comma-separated servers")
	rows := flags.String("rows", "", "comma-separated `numbers` of rows; all without")
	flags.BoolVar(&o.quick, "quick", false, "fewer rows, shorter times and wider bounds, about a minute for weir's modes")
	flags.StringVar(&o.json, "json", "", "write the results to this `file`, as JSON lines")
	flags.StringVar(&o.markdown, "markdown", "", "write the servers side by side to this `file`, as Markdown")
	flags.StringVar(&o.evidence, "evidence", "", "end processes that do not answer, and write their stacks and all sockets to this `directory`")
	flags.Usage = func() { printUsage(usage, flags) }
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for name := range strings.SplitSeq(*names, ",") {
		if _, err := findKind(name); err != nil {
			return o, fmt.Errorf("-servers: %w", err)
		}
		o.servers = append(o.servers, name)
	}
	if *rows == "" {
		return o, nil
	}
	for text := range strings.SplitSeq(*rows, ",") {
		row, err := strconv.Atoi(text)
		if err != nil || !hasRow(row) {
			return o, fmt.Errorf("-rows: there is no row %q", text)
		}
		o.rows = append(o.rows, row)
	}
	return o, nil
}

func hasRow(row int) bool {
	for _, f := range faults() {
		if f.row == row {
			return true
		}
	}
	return false
}

func printUsage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(w, `Injects faults into echo servers and shows what they do.

  go run ./faults [flags]

servers:
`)
	for _, k := range kinds() {
		fmt.Fprintf(w, "  %-12s %s\n", k.name, k.about)
	}
	fmt.Fprintln(w, "\nrows (* also in a quick run):")
	for _, f := range faults() {
		mark := ' '
		if f.quick {
			mark = '*'
		}
		fmt.Fprintf(w, "  %2d %c %s\n", f.row, mark, f.name)
	}
	fmt.Fprintln(w, "\nflags:")
	flags.PrintDefaults()
}
