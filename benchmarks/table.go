package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

func printSetting(w io.Writer, s setting) {
	fmt.Fprintf(w, "command  %s\n", s.Command)
	fmt.Fprintf(w, "commit   %s\n", s.Commit)
	fmt.Fprintf(w, "machine  %s, %d CPUs, GOMAXPROCS %d, %s, %s, %s\n", s.CPU, s.CPUs, s.GOMAXPROCS, s.Kernel, s.System, s.Go)
	if s.Load != "" {
		fmt.Fprintf(w, "load     %s before this run\n", s.Load)
	}
}

// printTable writes a row per cell and contender.
func printTable(w io.Writer, summaries []summary) {
	if len(summaries) == 0 {
		fmt.Fprintln(w, "nothing was measured")
		return
	}
	fmt.Fprintf(w, "ratio: to %s in the same round, median and 95 %% interval; of what is done per second, or of p99 where the rate is\nfixed, so that less is better there; all else: medians of the rounds\n\n", summaries[0].Contender)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "test\tcell\tcontender\tratio\t95 %\tto std\t95 %\tper second\tp50\tp99\tp99.9\tcpu\tcpu ratio\t95 %\tallocs\tresident\trounds\t")
	for i, s := range summaries {
		if i > 0 && (s.Cell != summaries[i-1].Cell || s.Test != summaries[i-1].Test) {
			fmt.Fprintln(t, strings.Repeat("\t", 17))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%v\t%v\t%s\t%s\t%s\t%s\t%s\t%v\t%s\t%s\t%d\t\n",
			s.Test, s.Cell, s.Contender, s.ToBase, s.ToStd, countText(s.PerSecond),
			durationText(s.P50), durationText(s.P99), durationText(s.P999), nanosecondsText(s.CPU), s.CPURatio,
			allocsText(s), residentText(s), s.Rounds)
	}
	t.Flush()
	fmt.Fprintf(w, "\n%s verified\n", bytesText(verifiedBytes(summaries)))
}

// allocsText is allocations per operation. A server that is not Go's tells none.
func allocsText(s summary) string {
	if s.Resident == 0 || s.Contender == "asio" {
		return "–"
	}
	return fmt.Sprintf("%.2f", s.Allocs)
}

func residentText(s summary) string {
	if s.Resident == 0 {
		return "–"
	}
	return bytesText(int64(s.Resident))
}

func verifiedBytes(summaries []summary) (total int64) {
	for _, s := range summaries {
		total += s.Verified
	}
	return total
}
