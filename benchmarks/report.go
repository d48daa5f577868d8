package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// summary is what the rounds of one cell say about one contender.
type summary struct {
	Cell      cell   `json:"cell"`
	Contender string `json:"contender"`
	Rounds    int    `json:"rounds"`

	// Ratio is the median of round trips/s over the base's in the same round, and
	// CPURatio that of server time per message. Zero for the base.
	Ratio         float64  `json:"ratio,omitempty"`
	RatioRange    interval `json:"ratio_range"`
	CPURatio      float64  `json:"cpu_ratio,omitempty"`
	CPURatioRange interval `json:"cpu_ratio_range"`

	// Medians over the rounds.
	RoundTripsPerSecond float64       `json:"round_trips_per_second"`
	P50                 time.Duration `json:"p50_ns"`
	P99                 time.Duration `json:"p99_ns"`
	CPUPerMessage       float64       `json:"cpu_per_message_ns"`

	Verified int64 `json:"verified_bytes"` // over all rounds
}

// summarize makes a summary for each cell and contender, in the order of the
// samples and of names, whose first is the base. A round that the base did not
// finish counts for no ratio.
func summarize(samples []sample, names []string) []summary {
	var summaries []summary
	for _, c := range cellsOf(samples) {
		base := roundsOf(samples, c, names[0])
		for _, name := range names {
			if rounds := roundsOf(samples, c, name); len(rounds) > 0 {
				summaries = append(summaries, summarizeOne(c, name, rounds, base, name == names[0]))
			}
		}
	}
	return summaries
}

func summarizeOne(c cell, name string, rounds, base map[int]sample, isBase bool) summary {
	s := summary{Cell: c, Contender: name, Rounds: len(rounds)}
	var rates, p50s, p99s, cpus []float64
	var pairs, basePairs struct{ rates, cpus []float64 }
	for _, round := range slices.Sorted(maps.Keys(rounds)) {
		r := rounds[round]
		rates = append(rates, r.RoundTripsPerSecond)
		p50s = append(p50s, float64(r.P50))
		p99s = append(p99s, float64(r.P99))
		cpus = append(cpus, r.cpuPerMessage())
		s.Verified += r.Verified
		if b, ok := base[round]; ok {
			pairs.rates = append(pairs.rates, r.RoundTripsPerSecond)
			pairs.cpus = append(pairs.cpus, r.cpuPerMessage())
			basePairs.rates = append(basePairs.rates, b.RoundTripsPerSecond)
			basePairs.cpus = append(basePairs.cpus, b.cpuPerMessage())
		}
	}
	s.RoundTripsPerSecond = median(rates)
	s.P50 = time.Duration(median(p50s))
	s.P99 = time.Duration(median(p99s))
	s.CPUPerMessage = median(cpus)
	if !isBase {
		speed, cpu := ratios(pairs.rates, basePairs.rates), ratios(pairs.cpus, basePairs.cpus)
		s.Ratio, s.RatioRange = median(speed), bootstrap(speed)
		s.CPURatio, s.CPURatioRange = median(cpu), bootstrap(cpu)
	}
	return s
}

// cellsOf are the cells of samples, each once, in order.
func cellsOf(samples []sample) []cell {
	var cells []cell
	seen := map[cell]bool{}
	for _, s := range samples {
		if !seen[s.Cell] {
			seen[s.Cell] = true
			cells = append(cells, s.Cell)
		}
	}
	return cells
}

func roundsOf(samples []sample, c cell, name string) map[int]sample {
	rounds := map[int]sample{}
	for _, s := range samples {
		if s.Cell == c && s.Contender == name {
			rounds[s.Round] = s
		}
	}
	return rounds
}

func printSetting(w io.Writer, s setting) {
	fmt.Fprintf(w, "command  %s\n", s.Command)
	fmt.Fprintf(w, "commit   %s\n", s.Commit)
	fmt.Fprintf(w, "machine  %s, %d CPUs, GOMAXPROCS %d, %s, %s, %s\n", s.CPU, s.CPUs, s.GOMAXPROCS, s.Kernel, s.System, s.Go)
}

// printTable writes a row per cell and contender.
func printTable(w io.Writer, summaries []summary) {
	if len(summaries) == 0 {
		fmt.Fprintln(w, "nothing was measured")
		return
	}
	base := summaries[0].Contender
	fmt.Fprintf(w, "ratio: against %s in the same round, median and 95 %% interval; all else: medians of the rounds\n\n", base)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "cell\tcontender\tratio\t95 %\tround trips/s\tp50\tp99\tcpu/msg\tcpu ratio\t95 %\trounds\t")
	for i, s := range summaries {
		if i > 0 && s.Cell != summaries[i-1].Cell {
			fmt.Fprintln(t, strings.Repeat("\t", 11))
		}
		fmt.Fprintf(t, "%v\t%s\t%s\t%s\t%.0f\t%v\t%v\t%.2f µs\t%s\t%s\t%d\t\n",
			s.Cell, s.Contender,
			ratioText(s.Ratio), rangeText(s.RatioRange),
			s.RoundTripsPerSecond, shortDuration(s.P50), shortDuration(s.P99), s.CPUPerMessage/1e3,
			ratioText(s.CPURatio), rangeText(s.CPURatioRange), s.Rounds)
	}
	t.Flush()
	fmt.Fprintf(w, "\n%s verified\n", bytesText(verifiedBytes(summaries)))
}

func verifiedBytes(summaries []summary) (total int64) {
	for _, s := range summaries {
		total += s.Verified
	}
	return total
}

func ratioText(r float64) string {
	if r == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", r)
}

func rangeText(r interval) string {
	if r == (interval{}) {
		return "–"
	}
	return fmt.Sprintf("%.3f–%.3f", r.Low, r.High)
}

// shortDuration keeps three digits or so.
func shortDuration(d time.Duration) time.Duration {
	switch {
	case d < 100*time.Microsecond:
		return d.Round(100 * time.Nanosecond)
	case d < 100*time.Millisecond:
		return d.Round(time.Microsecond)
	default:
		return d.Round(time.Millisecond)
	}
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

// recorder is a file of JSON lines, each {"kind": …, "value": …}. Without a path
// it keeps nothing. The first error stays and is what close returns.
type recorder struct {
	file *os.File
	err  error
}

// createResults creates the file, and its directory if need be.
func createResults(path string) (*recorder, error) {
	if path == "" {
		return &recorder{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{file: f}, nil
}

func (r *recorder) write(kind string, value any) error {
	if r.file == nil || r.err != nil {
		return r.err
	}
	r.err = json.NewEncoder(r.file).Encode(map[string]any{"kind": kind, "value": value})
	return r.err
}

func (r *recorder) close() error {
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); r.err == nil {
		r.err = err
	}
	return r.err
}
