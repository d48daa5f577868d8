package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// What one subscriber that stops reading costs the others. It sits in a process of
// its own, which a signal stops. In a round a contender is measured three times, in
// turning order: with the subscriber reading, with it stopped, and once more with it
// reading, which shows the noise. Before each, a burst fills the buffers of whoever
// does not read.

// stuckSilence is how long the subscriber that goes on must hear nothing before it
// says what it has got.
const stuckSilence = 300 * time.Millisecond

// stuckPatience is how long the subscriber is asked again while it lacks the last message,
// and has not been closed: a server that stands still is silent, too.
const stuckPatience = 5 * time.Second

// The three measurements.
const (
	reading      = "reading"
	stopped      = "stopped"
	readingAgain = "reading again"
)

// stuckSample is one measurement.
type stuckSample struct {
	Cell      fanoutCell     `json:"cell"`
	Round     int            `json:"round"`
	Contender string         `json:"contender"`
	State     string         `json:"state"`
	Others    load.FanResult `json:"others"`
	Read      load.FanRead   `json:"read"`  // by the subscriber, when it had gone on
	Fate      string         `json:"fate"`  // of the subscriber
	Grown     int64          `json:"grown"` // server's resident memory at the end, above that at the beginning
}

// pair takes the three measurements of one contender and says in short what came
// out.
func (b *fanoutBench) pair(ctx context.Context, t *target, c fanoutCell, round int) (string, error) {
	states := []string{reading, stopped, readingAgain}
	text := ""
	for i := range states {
		state := states[(round+i)%len(states)]
		s, err := b.withReader(ctx, t, c, state == stopped)
		if err != nil {
			return "", fmt.Errorf("%s: %w", state, err)
		}
		s.Round, s.State = round, state
		if err := b.results.write("sample", s); err != nil {
			return "", err
		}
		if state == stopped {
			text += fmt.Sprintf("%s %v (%s) ", state, shortDuration(s.Others.Each.P99), s.Fate)
		} else {
			text += fmt.Sprintf("%s %v ", state, shortDuration(s.Others.Each.P99))
		}
	}
	return text, nil
}

// withReader measures the others while one subscriber more reads, or is stopped.
func (b *fanoutBench) withReader(ctx context.Context, t *target, c fanoutCell, stop bool) (s stuckSample, err error) {
	s = stuckSample{Cell: c, Contender: t.name}
	reader, err := load.StartFanReader(ctx, b.exe, []string{loadCommand}, b.config(t.address, c.scene()))
	if err != nil {
		return s, err
	}
	defer func() {
		resumeProcess(reader.Process())
		if closeErr := reader.Close(); err == nil {
			err = closeErr
		}
	}()
	// So that it has joined, and been heard of, before it stops.
	if err := t.touch(); err != nil {
		return s, err
	}
	before, err := t.memory(false)
	if err != nil {
		return s, err
	}
	if stop {
		if err := stopProcess(reader.Process()); err != nil {
			return s, err
		}
	}
	burst := load.FanRun{InFlight: hubQueue / b.options.publishers / 4, Messages: int64(max(b.options.burst/c.Size, 1)), Duration: fanoutPatience, Patience: fanoutPatience}
	if _, err := t.run(burst, nil); err != nil {
		return s, err
	}
	if s.Others, _, err = t.measure(b.fanRun(c)); err != nil {
		return s, err
	}
	after, err := t.memory(false)
	if err != nil {
		return s, err
	}
	s.Grown = after.Resident - before.Resident
	resumeProcess(reader.Process())
	if s.Read, err = readOut(reader.Report, s.Others.Sent); err != nil {
		return s, err
	}
	s.Fate = fate(s.Read, s.Others.Sent)
	return s, nil
}

// readOut is what a subscriber has got in the end of a hub that has sent so many messages.
func readOut(report func(silence time.Duration) (load.FanRead, error), sent int64) (r load.FanRead, err error) {
	for late := time.Now().Add(stuckPatience); ; {
		r, err = report(stuckSilence)
		if err != nil || r.Closed || r.Broken || r.Next >= sent || time.Now().After(late) {
			return r, err
		}
	}
}

// fate says what a hub that has sent so many messages did with a subscriber.
func fate(r load.FanRead, sent int64) string {
	switch {
	case r.Broken:
		return "got a broken stream"
	case r.Closed:
		return "was closed"
	case r.Disorder > 0:
		return "got messages out of order"
	case r.Missing > 0 || r.Next < sent:
		return "missed messages"
	default:
		return "got everything"
	}
}

// stuckSummary is what the rounds of one cell say about one contender.
type stuckSummary struct {
	Cell      fanoutCell `json:"cell"`
	Contender string     `json:"contender"`
	Rounds    int        `json:"rounds"`

	// Medians, of the others: p99 from the moment a message was due, and its ratio
	// to that of the same round while the subscriber was reading.
	Reading time.Duration `json:"reading_ns"`
	Stopped time.Duration `json:"stopped_ns"`
	Ratio   ratio         `json:"ratio"` // stopped to reading
	Noise   ratio         `json:"noise"` // reading again to reading

	Fates map[string]int `json:"fates"` // of the stopped subscriber
	Grown int64          `json:"grown"` // server's memory while it was stopped, median
}

func summarizeStuck(samples []stuckSample) []stuckSummary {
	var summaries []stuckSummary
	type key struct {
		cell fanoutCell
		name string
	}
	seen := map[key]bool{}
	for _, sample := range samples {
		if k := (key{sample.Cell, sample.Contender}); !seen[k] {
			seen[k] = true
			if s := summarizeStuckCell(samples, k.cell, k.name); s.Rounds > 0 {
				summaries = append(summaries, s)
			}
		}
	}
	return summaries
}

// summarizeStuckCell takes the rounds that are complete.
func summarizeStuckCell(samples []stuckSample, c fanoutCell, name string) stuckSummary {
	s := stuckSummary{Cell: c, Contender: name, Fates: map[string]int{}}
	rounds := map[int]map[string]stuckSample{}
	last := -1
	for _, sample := range samples {
		if sample.Cell == c && sample.Contender == name {
			if rounds[sample.Round] == nil {
				rounds[sample.Round] = map[string]stuckSample{}
			}
			rounds[sample.Round][sample.State] = sample
			last = max(last, sample.Round)
		}
	}
	p99s := map[string][]float64{}
	var grown []float64
	for round := range last + 1 {
		if len(rounds[round]) < 3 {
			continue
		}
		s.Rounds++
		for state, sample := range rounds[round] {
			p99s[state] = append(p99s[state], float64(sample.Others.Each.P99))
		}
		s.Fates[rounds[round][stopped].Fate]++
		grown = append(grown, float64(rounds[round][stopped].Grown))
	}
	s.Reading = time.Duration(median(p99s[reading]))
	s.Stopped = time.Duration(median(p99s[stopped]))
	s.Ratio = ratioOf(p99s[stopped], p99s[reading])
	s.Noise = ratioOf(p99s[readingAgain], p99s[reading])
	s.Grown = int64(median(grown))
	return s
}

func (b *fanoutBench) reportStuck(w io.Writer) {
	summaries := summarizeStuck(b.results.seen.stuck)
	if len(summaries) == 0 {
		fmt.Fprintln(w, "nothing was measured")
		return
	}
	fmt.Fprintf(w, "p99 of the other subscribers, from the moment a message was due: medians of the rounds; ratio: with one stopped to all\nreading, in the same round; noise: all reading, to the same again; median and 95 %% interval\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "cell\tcontender\treading\tstopped\tratio\t95 %\tnoise\t95 %\trounds\tserver grew by\tthe stopped one\t")
	for _, s := range summaries {
		b.results.write("summary", s)
		fmt.Fprintf(t, "%v\t%s\t%v\t%v\t%v\t%v\t%d\t%s\t%s\t\n", s.Cell, s.Contender, shortDuration(s.Reading), shortDuration(s.Stopped),
			s.Ratio, s.Noise, s.Rounds, bytesText(max(s.Grown, 0)), fatesText(s.Fates))
	}
	t.Flush()
}

func fatesText(fates map[string]int) string {
	text := ""
	for _, fate := range slices.Sorted(maps.Keys(fates)) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %d×", fate, fates[fate])
	}
	return text
}
