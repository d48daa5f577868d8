package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
)

// rpcSample is one load on one contender.
type rpcSample struct {
	Cell           cell          `json:"cell"` // depth: callers on each connection, who wait
	Round          int           `json:"round"`
	Contender      string        `json:"contender"`
	CallsPerSecond float64       `json:"calls_per_second"`
	P50            time.Duration `json:"p50_ns"`
	P99            time.Duration `json:"p99_ns"`
	ServerCPU      time.Duration `json:"server_cpu_ns"` // in the measured time
	ClientCPU      time.Duration `json:"client_cpu_ns"` // likewise, that of the load included
	Calls          int64         `json:"calls"`
	Verified       int64         `json:"verified_bytes"`
}

func (s rpcSample) cpuPerCall() float64 {
	if s.Calls == 0 {
		return 0
	}
	return float64(s.ServerCPU+s.ClientCPU) / float64(s.Calls)
}

// rpcBench holds what the rounds of one run need.
type rpcBench struct {
	options rpcOptions
	log     io.Writer
	servers []*server // the first is the base
	record  func(rpcSample) error
}

// rpcCommand measures the cells that args select and prints a table. What was measured
// before an error is printed too.
func rpcCommand(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := rpcDefaults().parse(args, log)
	if err != nil {
		return err
	}
	exe, results, err := begin(o.resultsPath, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "rounds   %d of %v after %v, interleaved; server and callers in two processes, over loopback\n\n", o.rounds, o.round, o.warmUp)

	b := &rpcBench{options: o, log: log, record: func(s rpcSample) error { return results.write("sample", s) }}
	err = b.run(ctx, exe)
	results.tellEnd(ctx)
	var names []string
	for _, s := range b.servers {
		names = append(names, s.name)
	}
	summaries := summarizeRPC(results.seen.rpc, names)
	for _, s := range summaries {
		results.write("summary", s)
	}
	printRPCTable(out, summaries)
	return errors.Join(err, results.close())
}

// run starts a server for each contender and goes through all cells.
func (b *rpcBench) run(ctx context.Context, exe string) error {
	defer func() { stopAll(b.servers) }()
	var err error
	b.servers, err = startAll(b.options.contenders, func(name string) (*server, error) {
		return startProcess(ctx, name, exe, serveCommand, rpcRequest, name)
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

// round puts each server under the cell's load, one after another. Each round begins with
// another one, so that none always follows the same.
func (b *rpcBench) round(ctx context.Context, c cell, round int, left *estimate) error {
	began := time.Now()
	line := fmt.Sprintf("%v round %d/%d:", c, round+1, b.options.rounds)
	for i := range b.servers {
		s := b.servers[(round+i)%len(b.servers)]
		result, err := b.load(ctx, s, c)
		if err != nil {
			return fmt.Errorf("%v, round %d, %s: %w", c, round+1, s.name, err)
		}
		result.Round = round
		if err := b.record(result); err != nil {
			return err
		}
		line += fmt.Sprintf(" %s %.0f/s,", s.name, result.CallsPerSecond)
	}
	fmt.Fprintf(b.log, "%s %s\n", line, left.step(time.Since(began)))
	return nil
}

// load runs one load: connections, with callers on each that make one call after another.
func (b *rpcBench) load(ctx context.Context, s *server, c cell) (sample rpcSample, err error) {
	contender, err := findRPC(b.options.contenderOf(s.name))
	if err != nil {
		return rpcSample{}, err
	}
	clients, err := contender.connect(s.address, c.Connections)
	if err != nil {
		return rpcSample{}, err
	}
	defer func() { err = errors.Join(err, clients.close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var measuring atomic.Bool
	var all sync.WaitGroup
	callers := make([]rpcCaller, c.Connections*c.Depth)
	for i := range callers {
		callers[i] = newRPCCaller(i, c.Size)
		all.Go(func() {
			if err := callers[i].run(ctx, clients.calls[i%c.Connections], &measuring); err != nil {
				cancel(err)
			}
		})
	}
	pause(ctx, b.options.warmUp)
	server, cpuErr := s.Use()
	client, began := serving.ProcessCPU(), time.Now()
	measuring.Store(true)
	pause(ctx, b.options.round)
	measuring.Store(false)
	took, used := time.Since(began), serving.ProcessCPU()
	serverAfter, cpuErrAfter := s.Use()
	failure := context.Cause(ctx)
	cancel(errMeasured)
	all.Wait()
	if failure == nil && context.Cause(ctx) != errMeasured {
		failure = context.Cause(ctx)
	}
	if err := errors.Join(failure, cpuErr, cpuErrAfter); err != nil {
		return rpcSample{}, err
	}
	sample = rpcSample{Cell: c, Contender: s.name, ServerCPU: serverAfter.CPU - server.CPU, ClientCPU: used - client}
	sample.take(callers, took)
	return sample, nil
}

// errMeasured ends the callers of a load.
var errMeasured = errors.New("the measured time is over")

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take sums up what callers have seen.
func (s *rpcSample) take(callers []rpcCaller, took time.Duration) {
	var all []time.Duration
	for i := range callers {
		all = append(all, callers[i].times...)
		s.Verified += callers[i].verified
	}
	slices.Sort(all)
	s.Calls = int64(len(all))
	s.CallsPerSecond = float64(len(all)) / took.Seconds()
	if len(all) > 0 {
		s.P50, s.P99 = all[len(all)/2], all[len(all)*99/100]
	}
}

// rpcCaller makes calls and compares what comes back.
type rpcCaller struct {
	body     []byte
	times    []time.Duration // of calls that ended in the measured time
	verified int64
}

func newRPCCaller(n, size int) rpcCaller {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(body) // no errors
	return rpcCaller{body: body, times: make([]time.Duration, 0, 1<<12)}
}

func (c *rpcCaller) run(ctx context.Context, call rpcCall, measuring *atomic.Bool) error {
	for n := 0; ctx.Err() == nil; n++ {
		c.body[0] = byte(n)
		began := time.Now()
		same, err := call(c.body)
		took := time.Since(began)
		switch {
		case err != nil:
			return err
		case !same:
			return errors.New("the answer is not what was sent")
		}
		c.verified += int64(len(c.body))
		if measuring.Load() {
			c.times = append(c.times, took)
		}
	}
	return nil
}

// equal is for calls to say what came back.
func equal(got, want []byte) bool { return bytes.Equal(got, want) }
