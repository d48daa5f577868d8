package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// sample is one load on one contender.
type sample struct {
	Cell                cell          `json:"cell"`
	Round               int           `json:"round"`
	Contender           string        `json:"contender"`
	RoundTripsPerSecond float64       `json:"round_trips_per_second"`
	P50                 time.Duration `json:"p50_ns"`
	P99                 time.Duration `json:"p99_ns"`
	ServerCPU           time.Duration `json:"server_cpu_ns"` // in the measured time
	Messages            int64         `json:"messages"`
	Verified            int64         `json:"verified_bytes"`
}

// cpuPerMessage is the server's processor time per round trip, in nanoseconds.
func (s sample) cpuPerMessage() float64 {
	if s.Messages == 0 {
		return 0
	}
	return float64(s.ServerCPU) / float64(s.Messages)
}

// bench holds what the rounds of one run need.
type bench struct {
	options options
	exe     string
	log     io.Writer
	servers []*server // the first is the base
	record  func(sample) error
}

// again marks the second server of the base. What it shows against the first is
// the noise of the machine.
const again = " again"

// echoCommand measures the cells that o and args select and prints a table.
// What was measured before an error is printed too.
func echoCommand(ctx context.Context, o options, args []string, out, log io.Writer) error {
	o, err := o.parse(args, log)
	if err != nil {
		return err
	}
	results, err := createResults(o.resultsPath)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return errors.Join(err, results.close())
	}
	here := readSetting(commandLine())
	results.write("setting", here)
	printSetting(out, here)
	fmt.Fprintf(out, "rounds   %d of %v after %v, interleaved; server and load in two processes, over loopback\n\n", o.rounds, o.round, o.warmUp)

	var samples []sample
	b := &bench{options: o, exe: exe, log: log, record: func(s sample) error {
		samples = append(samples, s)
		return results.write("sample", s)
	}}
	err = b.run(ctx)
	summaries := summarize(samples, namesOf(b.servers))
	for _, s := range summaries {
		results.write("summary", s)
	}
	printTable(out, summaries)
	return errors.Join(err, results.close())
}

func commandLine() string { return "go run . " + strings.Join(os.Args[1:], " ") }

// run starts a server for each contender and goes through all cells.
func (b *bench) run(ctx context.Context) error {
	defer func() { stopAll(b.servers) }()
	var err error
	b.servers, err = startAll(b.options.contenders, func(name string) (*server, error) {
		return startServer(ctx, b.exe, name)
	}, b.log)
	if err != nil {
		return interrupted(ctx, err)
	}
	left := newEstimate(len(b.options.cells) * b.options.rounds)
	for _, c := range b.options.cells {
		for round := range b.options.rounds {
			if err := b.round(ctx, c, round, left); err != nil {
				return interrupted(ctx, err)
			}
		}
	}
	return nil
}

// interrupted is the context's error if it has ended, which made err.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// round puts each server under the cell's load, one after another. Each round
// begins with another one, so that none always follows the same.
func (b *bench) round(ctx context.Context, c cell, round int, left *estimate) error {
	line := fmt.Sprintf("%v round %d/%d:", c, round+1, b.options.rounds)
	for i := range b.servers {
		s := b.servers[(round+i)%len(b.servers)]
		result, err := b.load(ctx, s, c, round)
		if err != nil {
			return fmt.Errorf("%v, round %d, %s: %w", c, round+1, s.name, err)
		}
		if err := b.record(result); err != nil {
			return err
		}
		line += fmt.Sprintf(" %s %.0f/s,", s.name, result.RoundTripsPerSecond)
	}
	fmt.Fprintf(b.log, "%s %s\n", line, left.step())
	return nil
}

// load runs one load. The server's processor time is read when the measured time
// begins and when it ends.
func (b *bench) load(ctx context.Context, s *server, c cell, round int) (sample, error) {
	config := load.Config{
		Address:     s.address,
		Connections: c.Connections,
		MessageSize: c.Size,
		Depth:       c.Depth,
		WarmUp:      b.options.warmUp,
		Duration:    b.options.round,
		Reset:       true,
	}
	var cpu [2]time.Duration
	var cpuErr error
	at := func(i int) {
		if used, err := s.cpu(); err != nil {
			cpuErr = err
		} else {
			cpu[i] = used
		}
	}
	result, err := load.Child(ctx, b.exe, []string{loadCommand}, config, func(p load.Progress) {
		switch {
		case p.Phase == load.Measuring && p.Elapsed == 0:
			at(0)
		case p.Phase == load.Finishing && p.Elapsed == 0:
			at(1)
		}
	})
	if err := errors.Join(err, result.Err(), cpuErr); err != nil {
		return sample{}, err
	}
	return sample{
		Cell:                c,
		Round:               round,
		Contender:           s.name,
		RoundTripsPerSecond: result.RoundTripsPerSecond,
		P50:                 result.Latency.P50,
		P99:                 result.Latency.P99,
		ServerCPU:           cpu[1] - cpu[0],
		Messages:            result.Messages,
		Verified:            result.Verified,
	}, nil
}

// estimate says how much is left, from how long the steps so far took.
type estimate struct {
	start       time.Time
	done, total int
}

func newEstimate(total int) *estimate { return &estimate{start: time.Now(), total: total} }

func (e *estimate) step() string {
	e.done++
	each := time.Since(e.start) / time.Duration(e.done)
	left := time.Duration(e.total-e.done) * each
	return fmt.Sprintf("%d%% done, %v left", 100*e.done/e.total, left.Round(time.Second))
}
