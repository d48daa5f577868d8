package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

// idleOptions are what an idle run does.
type idleOptions struct {
	contenders  []string
	from, to    int // connections
	steps       int // between the two
	resultsPath string
}

// idleSample is a server's memory with so many idle connections.
type idleSample struct {
	Contender   string         `json:"contender"`
	Forced      bool           `json:"forced"` // after a garbage collection
	Connections int            `json:"connections"`
	Memory      serving.Memory `json:"memory"`
}

// idleSummary is what one more idle connection costs a server, in bytes, and how
// long a new one took to connect and echo while the most were held.
type idleSummary struct {
	Contender string        `json:"contender"`
	Forced    bool          `json:"forced"`
	Resident  float64       `json:"resident"`
	HeapInuse float64       `json:"heap_inuse"`
	HeapAlloc float64       `json:"heap_alloc"`
	Stacks    float64       `json:"stacks"`
	Probe     time.Duration `json:"probe_ns"`
}

func parseIdle(args []string, usage io.Writer) (idleOptions, error) {
	o := idleOptions{}
	flags := flag.NewFlagSet("benchmarks idle", flag.ContinueOnError)
	flags.SetOutput(usage)
	names := flags.String("contenders", strings.Join(echoDefaults().contenders, ","), "comma-separated contenders")
	flags.IntVar(&o.from, "from", 2000, "idle connections at the first step")
	flags.IntVar(&o.to, "to", 18000, "idle connections at the last step")
	flags.IntVar(&o.steps, "steps", 4, "steps from the first to the last number of connections")
	flags.StringVar(&o.resultsPath, "json", "", "file for every single measurement, as JSON lines")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case o.from < 1:
		return o, fmt.Errorf("-from must be at least 1, not %d", o.from)
	case o.steps < 1:
		return o, fmt.Errorf("-steps must be at least 1, not %d", o.steps)
	case o.to < o.from+o.steps:
		return o, fmt.Errorf("-to must leave room for %d steps above -from %d, not %d", o.steps, o.from, o.to)
	}
	var err error
	o.contenders, err = selectContenders(*names, find)
	return o, err
}

// counts are the numbers of connections to measure at.
func (o idleOptions) counts() []int {
	var counts []int
	for i := range o.steps + 1 {
		counts = append(counts, o.from+(o.to-o.from)*i/o.steps)
	}
	return counts
}

// idleCommand measures what an idle connection costs each contender.
func idleCommand(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parseIdle(args, log)
	if err != nil {
		return err
	}
	results, err := createResults(o.resultsPath)
	if err != nil {
		return err
	}
	here := readSetting(commandLine())
	results.write("setting", here)

	var summaries []idleSummary
	err = func() error {
		for _, name := range o.contenders {
			for _, forced := range []bool{false, true} {
				s, err := measureIdle(ctx, o, name, forced, log, results)
				var missing *serving.Missing
				if errors.As(err, &missing) {
					fmt.Fprintf(log, "%s left out: %v\n", name, missing)
					break
				}
				if err != nil {
					return interrupted(ctx, fmt.Errorf("%s: %w", name, err))
				}
				summaries = append(summaries, s)
				results.write("summary", s)
			}
		}
		return nil
	}()
	printIdle(out, here, o, summaries)
	return errors.Join(err, results.close())
}

// measureIdle measures one contender in a process that has done nothing else.
func measureIdle(ctx context.Context, o idleOptions, name string, forced bool, log io.Writer, results *recorder) (idleSummary, error) {
	exe, err := os.Executable()
	if err != nil {
		return idleSummary{}, err
	}
	s, err := startServer(ctx, exe, name)
	if err != nil {
		return idleSummary{}, err
	}
	defer s.Stop()
	idle, err := load.StartIdle(ctx, exe, []string{loadCommand}, s.address)
	if err != nil {
		return idleSummary{}, err
	}
	defer idle.Close()

	var samples []idleSample
	for _, n := range o.counts() {
		if err := idle.Grow(n); err != nil {
			return idleSummary{}, err
		}
		m, err := s.memory(forced)
		if err != nil {
			return idleSummary{}, err
		}
		sample := idleSample{name, forced, n, m}
		samples = append(samples, sample)
		if err := results.write("sample", sample); err != nil {
			return idleSummary{}, err
		}
		fmt.Fprintf(log, "%s, %s: %d idle connections, %s resident\n", name, forcedText(forced), n, bytesText(m.Resident))
	}
	summary := summarizeIdle(samples)
	if summary.Probe, err = idle.Probe(); err != nil {
		return idleSummary{}, err
	}
	disturbed, err := idle.Disturbed()
	if err == nil && disturbed > 0 {
		err = fmt.Errorf("%d idle connections were closed or sent something", disturbed)
	}
	return summary, err
}

// summarizeIdle takes the slopes of one contender's samples.
func summarizeIdle(samples []idleSample) idleSummary {
	var connections []float64
	for _, s := range samples {
		connections = append(connections, float64(s.Connections))
	}
	per := func(bytes func(serving.Memory) int64) float64 {
		var ys []float64
		for _, s := range samples {
			ys = append(ys, float64(bytes(s.Memory)))
		}
		return slope(connections, ys)
	}
	return idleSummary{
		Contender: samples[0].Contender,
		Forced:    samples[0].Forced,
		Resident:  per(func(m serving.Memory) int64 { return m.Resident }),
		HeapInuse: per(func(m serving.Memory) int64 { return m.HeapInuse }),
		HeapAlloc: per(func(m serving.Memory) int64 { return m.HeapAlloc }),
		Stacks:    per(func(m serving.Memory) int64 { return m.Stacks }),
	}
}

func printIdle(w io.Writer, s setting, o idleOptions, summaries []idleSummary) {
	printSetting(w, s)
	fmt.Fprintf(w, "\nbytes of server memory per idle connection, after one echo on each; slope over %v\n\n", o.counts())
	printIdleTable(w, summaries)
}

func printIdleTable(w io.Writer, summaries []idleSummary) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "contender\tcollection\tresident\theap in use\theap live\tstacks\tnew connection\t")
	for _, s := range summaries {
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t\n", s.Contender, forcedText(s.Forced), s.Resident,
			s.goMemory(s.HeapInuse), s.goMemory(s.HeapAlloc), s.goMemory(s.Stacks), durationText(s.Probe))
	}
	t.Flush()
}

// goMemory is the text of what only Go's runtime tells.
func (s idleSummary) goMemory(bytes float64) string {
	if s.Contender == "asio" {
		return "–"
	}
	return fmt.Sprintf("%.0f", bytes)
}

func forcedText(forced bool) string {
	if forced {
		return "forced"
	}
	return "unforced"
}
