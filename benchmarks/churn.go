package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// churnSample is one load of connections that come and go, on one contender.
type churnSample struct {
	Churn     churnCell        `json:"churn"`
	Round     int              `json:"round"`
	Contender string           `json:"contender"`
	Result    load.ChurnResult `json:"result"`
	used
}

// churnJob is a churn cell.
type churnJob struct {
	churnCell
	warmUp, duration time.Duration
}

func (churnJob) test() string { return churnTest }

func (j churnJob) config(s *server) load.ChurnConfig {
	return load.ChurnConfig{
		Address: s.address, AtOnce: j.AtOnce, MessageSize: j.Size,
		WarmUp: j.warmUp, Duration: j.duration, Patience: echoPatience,
		Reset: runtime.GOOS != "linux", // elsewhere the loopback has one address, and too few ports
	}
}

func (j churnJob) load(ctx context.Context, b *interleaver, s *server, round int) (any, string, error) {
	m := &meter{server: s}
	r, err := load.ChurnChild(ctx, b.exe, []string{loadCommand}, j.config(s), m.progress)
	used, meterErr := m.used()
	if err := errors.Join(err, r.Err(), meterErr); err != nil {
		return nil, "", err
	}
	return churnSample{j.churnCell, round, s.name, r, used}, fmt.Sprintf("%.0f/s", r.LivesPerSecond), nil
}

// counted is the load for counting system calls.
func (j churnJob) counted(ctx context.Context, exe string, s *server) countedLoad {
	return func(progress func(load.Progress)) (measured, all int64, err error) {
		r, err := load.ChurnChild(ctx, exe, []string{loadCommand}, j.config(s), progress)
		return r.Lives, r.All, errors.Join(err, r.Err())
	}
}

// churnCommand measures connections that come and go.
func churnCommand(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := churnDefaults().parse(args, log)
	if err != nil {
		return err
	}
	exe, results, err := begin(o.resultsPath, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "rounds   %d of %v after %v, interleaved; server and load in two processes, over loopback\n\n", o.rounds, o.round, o.warmUp)

	b := &interleaver{exe: exe, log: log, rounds: o.rounds, left: newEstimate(len(o.churn) * o.rounds), record: results.write}
	b.servers, err = startAll(o.contenders, func(name string) (*server, error) { return startServer(ctx, exe, name) }, log)
	defer func() { stopAll(b.servers) }()
	for _, c := range o.churn {
		if err != nil {
			break
		}
		err = b.run(ctx, churnJob{c, o.warmUp, o.round})
	}
	results.tellSummaries(out)
	return errors.Join(interrupted(ctx, err), results.close())
}
