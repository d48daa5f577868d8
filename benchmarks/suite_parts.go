package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

// echo measures a part: its cells, then churn, all on the same servers.
func (s *suite) echo(ctx context.Context, part echoPart) error {
	if len(part.cells)+len(part.churn) == 0 {
		return nil
	}
	b := &interleaver{exe: s.exe, log: s.log, rounds: s.plan.rounds, left: s.left, record: s.results.write, failed: s.failed}
	defer func() { stopAll(b.servers) }()
	var err error
	b.servers, err = startAll(part.contenders, func(name string) (*server, error) {
		started, err := startServer(ctx, s.exe, name)
		return s.startable(ctx, name, started, err)
	}, s.log)
	if err != nil {
		return interrupted(ctx, err)
	}
	s.versions(b.servers)
	for _, c := range part.cells {
		if c, err = resolve(c, s.results.seen.observations); err != nil {
			s.miss(c.String(), err) // no rival is there
			continue
		}
		j := echoJob{c, s.plan.warmUp, s.plan.round}
		if err := s.cell(ctx, b, j, c.Connections, echoJob{c, s.plan.warmUp, s.plan.callsOf}.counted); err != nil {
			return err
		}
	}
	for _, c := range part.churn {
		j := churnJob{c, s.plan.warmUp, s.plan.round}
		if err := s.cell(ctx, b, j, c.AtOnce, churnJob{c, s.plan.warmUp, s.plan.callsOf}.counted); err != nil {
			return err
		}
	}
	return nil
}

// cell does the rounds of one job and then counts its system calls.
func (s *suite) cell(ctx context.Context, b *interleaver, j job, connections int, counted func(context.Context, string, *server) countedLoad) error {
	s.left.next = s.plan.roundTime(connections, len(b.servers))
	if err := b.run(ctx, j); err != nil {
		return err
	}
	if s.counter == nil {
		return nil
	}
	began := time.Now()
	for _, server := range b.alive() {
		if strings.HasSuffix(server.name, again) {
			continue
		}
		if err := s.counter.count(ctx, j.test(), j.String(), server, counted(ctx, s.exe, server)); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.log, "%s %v system calls: %s\n", j.test(), j, s.left.add(s.plan.callsTime(connections, len(b.servers)), time.Since(began)))
	return nil
}

// fanout measures the fan-out.
func (s *suite) fanout(ctx context.Context) error {
	if len(s.plan.fanout) == 0 {
		return nil
	}
	o := fanoutDefaults()
	o.cells, o.contenders, o.rounds, o.round, o.warmUp = s.plan.fanout, s.plan.hubs, s.plan.rounds, s.plan.round, s.plan.warmUp
	b := newFanoutBench(o, s.exe, s.log, s.results)
	servers := len(o.contenders) + 1
	b.left = s.left
	b.left.next = s.plan.roundTime(0, servers)
	start := b.start
	b.start = func(ctx context.Context, name string, size int) (*server, error) {
		started, err := start(ctx, name, size)
		return s.startable(ctx, name, started, err)
	}
	b.failed = s.failed
	b.after = func(ctx context.Context, c fanoutCell, targets []*target) error {
		if s.counter == nil {
			return nil
		}
		began := time.Now()
		run := b.fanRun(c)
		run.Duration = s.plan.callsOf
		for _, t := range targets {
			if strings.HasSuffix(t.name, again) {
				continue
			}
			if err := s.counter.count(ctx, testOfFanout(c), c.String(), t.server, t.counted(run, c)); err != nil {
				return err
			}
		}
		fmt.Fprintf(s.log, "%s %v system calls: %s\n", testOfFanout(c), c, s.left.add(s.plan.callsTime(0, servers), time.Since(began)))
		return nil
	}
	return b.run(ctx)
}

// counted is the load for counting system calls. If it fails the target is of no more use.
func (t *target) counted(run load.FanRun, c fanoutCell) countedLoad {
	return func(progress func(load.Progress)) (measured, all int64, err error) {
		r, err := t.run(run, progress)
		t.down = t.down || err != nil
		return r.Deliveries, r.Verified / int64(c.Size), err
	}
}

// idle measures memory.
func (s *suite) idle(ctx context.Context) error {
	for _, name := range s.plan.idle.contenders {
		for _, forced := range []bool{false, true} {
			if s.absent[name] {
				continue
			}
			began := time.Now()
			summary, err := measureIdle(ctx, s.plan.idle, name, forced, s.log, s.results)
			var missing *serving.Missing
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.As(err, &missing):
				s.miss(name, err)
			case err != nil:
				fmt.Fprintf(s.log, "%s has failed in idle: %v\n", name, err)
				err = s.failed(failure{idleTest, forcedText(forced), name, 0, err.Error()})
			default:
				err = s.results.write("summary", summary)
			}
			if err != nil && missing == nil {
				return err
			}
			fmt.Fprintf(s.log, "idle %s %s: %s\n", name, forcedText(forced), s.left.add(s.plan.idleTime(), time.Since(began)))
		}
	}
	return nil
}
