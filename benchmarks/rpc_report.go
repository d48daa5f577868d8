package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// rpcSummary is what the rounds of one cell say about one contender.
type rpcSummary struct {
	Cell      cell   `json:"cell"`
	Contender string `json:"contender"`
	Rounds    int    `json:"rounds"`

	// Medians of the ratios to the base in the same round; zero for the base.
	Calls ratio `json:"calls_ratio"`
	P50s  ratio `json:"p50_ratio"`
	P99s  ratio `json:"p99_ratio"`
	CPU   ratio `json:"cpu_ratio"` // of both ends, per call

	// Medians over the rounds.
	CallsPerSecond float64       `json:"calls_per_second"`
	P50            time.Duration `json:"p50_ns"`
	P99            time.Duration `json:"p99_ns"`
	CPUPerCall     float64       `json:"cpu_per_call_ns"`

	Verified int64 `json:"verified_bytes"` // over all rounds
}

// summarizeRPC makes a summary for each cell and contender, in the order of the samples
// and of names, whose first is the base.
func summarizeRPC(samples []rpcSample, names []string) []rpcSummary {
	var summaries []rpcSummary
	var cells []cell
	for _, s := range samples {
		if len(cells) == 0 || cells[len(cells)-1] != s.Cell {
			cells = append(cells, s.Cell)
		}
	}
	for _, c := range cells {
		base := rpcRounds(samples, c, names[0])
		for i, name := range names {
			rounds := rpcRounds(samples, c, name)
			if len(rounds) == 0 {
				continue
			}
			s := rpcSummary{Cell: c, Contender: name, Rounds: len(rounds)}
			of := func(value func(rpcSample) float64) (float64, ratio) {
				xs, ys := rpcPairs(rounds, base, value)
				if i == 0 {
					return median(xs), ratio{}
				}
				return median(xs), ratioOf(xs, ys)
			}
			var p50, p99 float64
			s.CallsPerSecond, s.Calls = of(func(s rpcSample) float64 { return s.CallsPerSecond })
			p50, s.P50s = of(func(s rpcSample) float64 { return float64(s.P50) })
			p99, s.P99s = of(func(s rpcSample) float64 { return float64(s.P99) })
			s.CPUPerCall, s.CPU = of(rpcSample.cpuPerCall)
			s.P50, s.P99 = time.Duration(p50), time.Duration(p99)
			for _, r := range rounds {
				s.Verified += r.Verified
			}
			summaries = append(summaries, s)
		}
	}
	return summaries
}

// rpcRounds are the samples of a contender in a cell.
func rpcRounds(samples []rpcSample, c cell, name string) (rounds []rpcSample) {
	for _, s := range samples {
		if s.Cell == c && s.Contender == name {
			rounds = append(rounds, s)
		}
	}
	return rounds
}

// rpcPairs are the values of rounds, and of the base in the same round; a round that the base
// did not finish has 0 there.
func rpcPairs(rounds, base []rpcSample, value func(rpcSample) float64) (xs, ys []float64) {
	of := map[int]rpcSample{}
	for _, b := range base {
		of[b.Round] = b
	}
	for _, r := range rounds {
		xs = append(xs, value(r))
		y := 0.0
		if b, ok := of[r.Round]; ok {
			y = value(b)
		}
		ys = append(ys, y)
	}
	return xs, ys
}

// printRPCTable writes a row per cell and contender.
func printRPCTable(w io.Writer, summaries []rpcSummary) {
	if len(summaries) == 0 {
		fmt.Fprintln(w, "nothing was measured")
		return
	}
	fmt.Fprintf(w, "ratios: against %s in the same round, median and 95 %% interval; of calls/s more is better, of the others less;\nall else: medians of the rounds; cpu: of both ends\n\n", summaries[0].Contender)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "cell\tcontender\tcalls/s\tratio\t95 %\tp50\tratio\t95 %\tp99\tratio\t95 %\tcpu/call\tratio\t95 %\trounds\t")
	var verified int64
	for i, s := range summaries {
		if i > 0 && s.Cell != summaries[i-1].Cell {
			fmt.Fprintln(t, strings.Repeat("\t", 15))
		}
		verified += s.Verified
		fmt.Fprintf(t, "%v\t%s\t%.0f\t%v\t%v\t%v\t%v\t%v\t%.2f µs\t%v\t%d\t\n", s.Cell, s.Contender, s.CallsPerSecond, s.Calls,
			shortDuration(s.P50), s.P50s, shortDuration(s.P99), s.P99s, s.CPUPerCall/1e3, s.CPU, s.Rounds)
	}
	t.Flush()
	fmt.Fprintf(w, "\n%s verified\n", bytesText(verified))
}
