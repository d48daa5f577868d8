package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// sample is one echo load on one contender.
type sample struct {
	Cell                cell          `json:"cell"`
	Round               int           `json:"round"`
	Contender           string        `json:"contender"`
	RoundTripsPerSecond float64       `json:"round_trips_per_second"`
	P50                 time.Duration `json:"p50_ns"`
	P90                 time.Duration `json:"p90_ns,omitempty"`
	P99                 time.Duration `json:"p99_ns"`
	P999                time.Duration `json:"p99_9_ns,omitempty"`
	Max                 time.Duration `json:"max_ns,omitempty"`
	LateP99             time.Duration `json:"late_p99_ns,omitempty"` // of the load itself, at a fixed rate
	used
	Messages int64 `json:"messages"`
	Verified int64 `json:"verified_bytes"`
}

// echoJob is an echo cell.
type echoJob struct {
	cell
	warmUp, duration time.Duration
}

func (j echoJob) test() string { return testOfEcho(j.cell) }

// config is the load on a server.
func (j echoJob) config(s *server) load.Config {
	return load.Config{
		Address:     s.address,
		Connections: j.Connections,
		MessageSize: j.Size,
		Depth:       j.Depth,
		Rate:        float64(j.Rate),
		WarmUp:      j.warmUp,
		Duration:    j.duration,
		Patience:    echoPatience,
		Reset:       true,
	}
}

// echoPatience is how long a round waits for what is under way at its end. At a fixed
// rate that a server cannot follow that may be much.
const echoPatience = 10 * time.Second

// load runs one load. What the server uses is read when the measured time begins and when
// it ends.
func (j echoJob) load(ctx context.Context, b *interleaver, s *server, round int) (any, string, error) {
	m := &meter{server: s}
	r, err := load.Child(ctx, b.exe, []string{loadCommand}, j.config(s), m.progress)
	used, meterErr := m.used()
	if err := errors.Join(err, r.Err(), meterErr); err != nil {
		return nil, "", err
	}
	text := fmt.Sprintf("%.0f/s", r.RoundTripsPerSecond)
	if j.open() {
		text = "p99 " + shortDuration(r.Latency.P99).String()
	}
	return sample{
		Cell:                j.cell,
		Round:               round,
		Contender:           s.name,
		RoundTripsPerSecond: r.RoundTripsPerSecond,
		P50:                 r.Latency.P50,
		P90:                 r.Latency.P90,
		P99:                 r.Latency.P99,
		P999:                r.Latency.P999,
		Max:                 r.Latency.Max,
		LateP99:             r.Late.P99,
		used:                used,
		Messages:            r.Messages,
		Verified:            r.Verified,
	}, text, nil
}

// counted is the load for counting system calls.
func (j echoJob) counted(ctx context.Context, exe string, s *server) countedLoad {
	return func(progress func(load.Progress)) (measured, all int64, err error) {
		r, err := load.Child(ctx, exe, []string{loadCommand}, j.config(s), progress)
		return r.Messages, r.Verified / int64(j.Size), errors.Join(err, r.Err())
	}
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
	exe, results, err := begin(o.resultsPath, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "rounds   %d of %v after %v, interleaved; server and load in two processes, over loopback\n\n", o.rounds, o.round, o.warmUp)

	b := &interleaver{exe: exe, log: log, rounds: o.rounds, left: newEstimate(len(o.cells) * o.rounds), record: results.write}
	err = echoCells(ctx, b, o, results)
	results.tellSummaries(out)
	return errors.Join(err, results.close())
}

func commandLine() string { return "go run . " + strings.Join(os.Args[1:], " ") }

// echoCells starts a server for each contender and goes through all cells.
func echoCells(ctx context.Context, b *interleaver, o options, results *recorder) error {
	defer func() { stopAll(b.servers) }()
	var err error
	b.servers, err = startAll(o.contenders, func(name string) (*server, error) {
		return startServer(ctx, b.exe, name)
	}, b.log)
	if err != nil {
		return interrupted(ctx, err)
	}
	for _, c := range o.cells {
		if c, err = resolve(c, results.seen.observations); err != nil {
			return err
		}
		if err := b.run(ctx, echoJob{c, o.warmUp, o.round}); err != nil {
			return err
		}
	}
	return nil
}

// resolve gives a cell with a share its rate, from what has been measured.
func resolve(c cell, seen []observation) (cell, error) {
	if c.Share == 0 {
		return c, nil
	}
	rates := map[string][]float64{}
	for _, o := range seen {
		if o.cell == c.saturation().String() && isRival(o.contender) {
			rates[o.contender] = append(rates[o.contender], o.perSecond)
		}
	}
	fastest := 0.0
	for _, xs := range rates {
		fastest = max(fastest, median(xs))
	}
	if fastest == 0 {
		return c, fmt.Errorf("cell %v: no rival has been measured in %v", c, c.saturation())
	}
	const grain = 100 // messages/s
	c.Rate = max(int(math.Round(fastest*float64(c.Share)/100/grain))*grain, grain)
	return c, nil
}
