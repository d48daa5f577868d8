package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// The tables of docs/baseline.md, which follow from a file of results: the rows of the
// design that weir began with, restated as echo round trips.

// seedRow is a row of that design's table.
type seedRow struct {
	name  string
	claim string // messages/s and latency, as it has them
	cells []string
}

func seedRows() []seedRow {
	return []seedRow{
		{"64 B, 1 connection", "769K msg/s, <1 µs", []string{"1x64x1", "1x64x16"}},
		{"1 KB, 1 connection", "305K msg/s, <1 µs", []string{"1x1024x1", "1x1024x16"}},
		{"64 KB, 1 connection", "45K msg/s, 2.1 µs", []string{"1x65536x1", "1x65536x16"}},
		{"100 connections", "285K msg/s, 1.8 µs", []string{"100x64x1", "100x64x16"}},
		{"1000 connections", "250K msg/s, 3.2 µs", []string{"1000x64x1", "1000x64x16"}},
		{"5000 connections", "200K msg/s", []string{"5000x64x1", "5000x64x16"}},
	}
}

// baselineCommand prints the tables of one or more files.
func baselineCommand(args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("benchmarks baseline", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() {
		fmt.Fprint(log, "Prints the tables of docs/baseline.md from results that were kept.\n\n  go run . baseline FILE.jsonl...\n")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return fmt.Errorf("baseline: want one or more files of results")
	}
	for _, name := range flags.Args() {
		r, err := readResults(name)
		if err != nil {
			return err
		}
		r.writeBaseline(out)
	}
	return nil
}

func (r *results) writeBaseline(w io.Writer) {
	s := r.setting
	fmt.Fprintf(w, "`results/%s`: commit %s, %s, %d CPUs, %s, %s; %s\n\n", r.name, s.Commit, s.CPU, s.CPUs, s.Kernel, s.Go, r.roundsOfAll())
	writeMarkdown(w, r.seedTable())
	fmt.Fprintln(w)
	writeMarkdown(w, r.seedRatios())
	fmt.Fprintf(w, "\nWhere weir loses, to the best Go rival of each cell, with the interval wholly on the losing side:\n\n")
	losses := r.losses()
	if len(losses) == 0 {
		fmt.Fprintln(w, "nowhere in this run.")
		return
	}
	rows := [][]string{{"cell", "mode", "in", "to", "times as good"}}
	for _, l := range losses {
		rows = append(rows, []string{textOf(l.test).short + " " + l.cell, labelOf(l.test, l.ours), l.aspect, l.rival, markdownRatio(l.ahead)})
	}
	writeMarkdown(w, rows)
}

// roundsOfAll is how many rounds the cells had.
func (r *results) roundsOfAll() string { return roundsText(r.summaries()) }

// seedTable has what weir did: round trips/s and percentiles.
func (r *results) seedTable() [][]string {
	rows := [][]string{{"seed's row", "seed claims", "cell", "pool, round trips/s", "p50", "p99", "p99.9", "inline, round trips/s", "p50", "p99", "p99.9"}}
	r.eachSeedCell(func(row seedRow, f field) {
		line := []string{row.name, row.claim, f.cell}
		by := map[string]summary{}
		for _, s := range r.summarize(f.test, f.cell) {
			by[s.Contender] = s
		}
		for _, ours := range ourModes(f.test) {
			s, ok := by[ours]
			if !ok {
				line = append(line, "–", "–", "–", "–")
				continue
			}
			line = append(line, countText(s.PerSecond), durationText(s.P50), durationText(s.P99), durationText(s.P999))
		}
		rows = append(rows, line)
	})
	return rows
}

// seedRatios has how that compares, in the same rounds.
func (r *results) seedRatios() [][]string {
	rows := [][]string{{"cell", "pool to floor", "inline to floor", "floor again", "pool to std", "pool to the best Go rival", "inline to the best Go rival", "pool's server CPU to the floor's"}}
	r.eachSeedCell(func(_ seedRow, f field) {
		pool, inline := ourModes(f.test)[0], ourModes(f.test)[1]
		best := f.best(throughput, isRival)
		to := func(x, y string, a aspect) string { return markdownRatio(f.ratio(x, y, a)) }
		toBest := func(ours string) string {
			x := f.ratio(ours, best, throughput)
			if x == (ratio{}) {
				return "–"
			}
			return markdownRatio(x) + " " + best
		}
		rows = append(rows, []string{
			f.cell, to(pool, "floor", throughput), to(inline, "floor", throughput), to("floor"+again, "floor", throughput),
			to(pool, "std", throughput), toBest(pool), toBest(inline), to(pool, "floor", processor),
		})
	})
	return rows
}

// eachSeedCell visits the cells of the table; those that were not measured have no rounds.
func (r *results) eachSeedCell(visit func(row seedRow, f field)) {
	for _, row := range seedRows() {
		for _, c := range cellsNamed(row.cells...) {
			visit(row, r.field(testOfEcho(c), c.String()))
		}
	}
}

func markdownRatio(r ratio) string {
	if r == (ratio{}) {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", timesText(r.Median), timesText(r.Range.Low), timesText(r.Range.High))
}

// writeMarkdown writes rows as a table; the first is its head.
func writeMarkdown(w io.Writer, rows [][]string) {
	for i, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintln(w, strings.Repeat("|---", len(row))+"|")
		}
	}
}
