package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// fanoutSummary is what the rounds of one cell say about one contender.
type fanoutSummary struct {
	Cell      fanoutCell `json:"cell"`
	Contender string     `json:"contender"`
	Rounds    int        `json:"rounds"`

	// Medians of the ratios to the base, and to std, in the same round. Of
	// deliveries/s, or of p99 at a fixed rate; and of server time per delivery.
	ToBase   ratio `json:"to_base"`
	ToStd    ratio `json:"to_std"`
	CPURatio ratio `json:"cpu_ratio"`

	// Medians over the rounds. The latencies are until the last has a message, or
	// at a fixed rate until each has it.
	DeliveriesPerSecond float64       `json:"deliveries_per_second"`
	P50                 time.Duration `json:"p50_ns"`
	P99                 time.Duration `json:"p99_ns"`
	P999                time.Duration `json:"p99_9_ns"`
	CPUPerDelivery      float64       `json:"cpu_per_delivery_ns"`
	LateP99             time.Duration `json:"late_p99_ns"` // of the publisher, at a fixed rate

	Verified int64 `json:"verified_bytes"` // over all rounds
}

// ratio is a median with its 95 % interval; zero where there is none.
type ratio struct {
	Median float64  `json:"median"`
	Range  interval `json:"range"`
}

func ratioOf(xs, ys []float64) ratio {
	rs := ratios(xs, ys)
	return ratio{median(rs), bootstrap(rs)}
}

func (r ratio) String() string { return ratioText(r.Median) + "\t" + rangeText(r.Range) }

// value is what a cell compares contenders by.
func (s fanoutSample) value() float64 {
	if s.Cell.Rate > 0 {
		return float64(s.Result.Each.P99)
	}
	return s.Result.DeliveriesPerSecond
}

func (s fanoutSample) latency() (p50, p99, p999 time.Duration) {
	l := s.Result.Last
	if s.Cell.Rate > 0 {
		l = s.Result.Each
	}
	return l.P50, l.P99, l.P999
}

// summarizeFanout makes a summary for each cell and contender, in the order of the
// samples and of names, whose first is the base.
func summarizeFanout(samples []fanoutSample, names []string) []fanoutSummary {
	var summaries []fanoutSummary
	for _, c := range fanoutCellsOf(samples) {
		for _, name := range names {
			if rounds := fanoutRounds(samples, c, name); len(rounds) > 0 {
				s := summarizeFanoutCell(rounds)
				if name != names[0] {
					base := fanoutRounds(samples, c, names[0])
					s.ToBase = pairRatio(rounds, base, fanoutSample.value)
					s.CPURatio = pairRatio(rounds, base, fanoutSample.cpuPerDelivery)
				}
				if name != "std" {
					s.ToStd = pairRatio(rounds, fanoutRounds(samples, c, "std"), fanoutSample.value)
				}
				summaries = append(summaries, s)
			}
		}
	}
	return summaries
}

func summarizeFanoutCell(rounds []fanoutSample) fanoutSummary {
	s := fanoutSummary{Cell: rounds[0].Cell, Contender: rounds[0].Contender, Rounds: len(rounds)}
	of := func(value func(fanoutSample) float64) float64 {
		var xs []float64
		for _, r := range rounds {
			xs = append(xs, value(r))
		}
		return median(xs)
	}
	duration := func(value func(fanoutSample) time.Duration) time.Duration {
		return time.Duration(of(func(s fanoutSample) float64 { return float64(value(s)) }))
	}
	s.DeliveriesPerSecond = of(func(s fanoutSample) float64 { return s.Result.DeliveriesPerSecond })
	s.CPUPerDelivery = of(fanoutSample.cpuPerDelivery)
	s.P50 = duration(func(s fanoutSample) time.Duration { p, _, _ := s.latency(); return p })
	s.P99 = duration(func(s fanoutSample) time.Duration { _, p, _ := s.latency(); return p })
	s.P999 = duration(func(s fanoutSample) time.Duration { _, _, p := s.latency(); return p })
	s.LateP99 = duration(func(s fanoutSample) time.Duration { return s.Result.Late.P99 })
	for _, r := range rounds {
		s.Verified += r.Result.Verified
	}
	return s
}

// pairRatio pairs samples of the same round; those without a partner do not count.
func pairRatio(samples, partners []fanoutSample, value func(fanoutSample) float64) ratio {
	of := map[int]fanoutSample{}
	for _, p := range partners {
		of[p.Round] = p
	}
	var xs, ys []float64
	for _, s := range samples {
		if p, ok := of[s.Round]; ok {
			xs = append(xs, value(s))
			ys = append(ys, value(p))
		}
	}
	return ratioOf(xs, ys)
}

// fanoutCellsOf are the cells of samples, each once, in order.
func fanoutCellsOf(samples []fanoutSample) []fanoutCell {
	var cells []fanoutCell
	seen := map[fanoutCell]bool{}
	for _, s := range samples {
		if !seen[s.Cell] {
			seen[s.Cell] = true
			cells = append(cells, s.Cell)
		}
	}
	return cells
}

func fanoutRounds(samples []fanoutSample, c fanoutCell, name string) []fanoutSample {
	var rounds []fanoutSample
	for _, s := range samples {
		if s.Cell == c && s.Contender == name {
			rounds = append(rounds, s)
		}
	}
	return rounds
}

// report prints what was measured.
func (b *fanoutBench) report(w io.Writer) {
	summaries := summarizeFanout(b.samples, b.names)
	if len(summaries) == 0 {
		fmt.Fprintln(w, "nothing was measured")
		return
	}
	var windows, rates []fanoutSummary
	var verified int64
	for _, s := range summaries {
		b.results.write("summary", s)
		verified += s.Verified
		if s.Cell.Rate > 0 {
			rates = append(rates, s)
		} else {
			windows = append(windows, s)
		}
	}
	if len(windows) > 0 {
		fmt.Fprintf(w, "ratios: deliveries/s against %s and against std in the same round, median and 95 %% interval; all else: medians of\nthe rounds; latency until the last subscriber has a message\n\n", b.names[0])
		printFanoutTable(w, windows)
	}
	if len(rates) > 0 {
		fmt.Fprintf(w, "fixed rate; ratios: p99, so that less is better; latency of each delivery, from the moment the message was due; late: p99 of\nthe publisher's own delay, which is part of it\n\n")
		printFanoutTable(w, rates)
	}
	printFanoutMemory(w, b.memories)
	fmt.Fprintf(w, "%s verified\n", bytesText(verified))
}

func printFanoutTable(w io.Writer, summaries []fanoutSummary) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "cell\tcontender\tratio\t95 %\tto std\t95 %\tdeliveries/s\tp50\tp99\tp99.9\tlate\tcpu/dlv\tcpu ratio\t95 %\trounds\t")
	for i, s := range summaries {
		if i > 0 && s.Cell != summaries[i-1].Cell {
			fmt.Fprintln(t, strings.Repeat("\t", 15))
		}
		late := "–"
		if s.Cell.Rate > 0 {
			late = shortDuration(s.LateP99).String()
		}
		fmt.Fprintf(t, "%v\t%s\t%v\t%v\t%s\t%v\t%v\t%v\t%s\t%.0f ns\t%v\t%d\t\n",
			s.Cell, s.Contender, s.ToBase, s.ToStd, rateText(s.DeliveriesPerSecond),
			shortDuration(s.P50), shortDuration(s.P99), shortDuration(s.P999), late, s.CPUPerDelivery, s.CPURatio, s.Rounds)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// rateText keeps three digits or so.
func rateText(perSecond float64) string {
	if perSecond >= 1e6 {
		return fmt.Sprintf("%.2f M", perSecond/1e6)
	}
	return fmt.Sprintf("%.0f k", perSecond/1e3)
}

func printFanoutMemory(w io.Writer, memories []fanoutMemory) {
	if len(memories) == 0 {
		return
	}
	fmt.Fprintf(w, "bytes of server memory per connection, after all loads and above what the server began with; live heap: after a collection\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "subscribers\tsize\tcontender\tresident, unforced\tresident, forced\tlive heap\tstacks\t")
	for _, m := range memories {
		per := func(after memory, bytes func(memory) int64) string {
			return fmt.Sprintf("%.0f", float64(bytes(after)-bytes(m.Before))/float64(m.Scene.Subscribers))
		}
		resident := func(m memory) int64 { return m.Resident }
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", m.Scene.Subscribers, m.Scene.Size, m.Contender,
			per(m.Unforced, resident), per(m.Forced, resident),
			per(m.Forced, func(m memory) int64 { return m.HeapAlloc }), per(m.Forced, func(m memory) int64 { return m.Stacks }))
	}
	t.Flush()
	fmt.Fprintln(w)
}
