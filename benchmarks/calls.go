package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

// System calls per operation are counted in a short load of their own, after the rounds
// that are compared, because whoever counts slows the server down: perf a little (its
// counters sit in the kernel), strace a lot, so that a server that gathers work gathers
// more of it.

// callsLine are a server's system calls in one load.
type callsLine struct {
	Test       string           `json:"test"`
	Cell       string           `json:"cell"`
	Contender  string           `json:"contender"`
	Tool       string           `json:"tool"` // perf or strace
	Operations int64            `json:"operations"`
	Calls      map[string]int64 `json:"calls"`
}

// perOperation is how many calls there are for each operation.
func (l callsLine) perOperation() float64 {
	if l.Operations == 0 {
		return 0
	}
	var all int64
	for _, n := range l.Calls {
		all += n
	}
	return float64(all) / float64(l.Operations)
}

// callWatch counts the calls of one process. Begin and end mark the measured time of the
// load; counts stops.
type callWatch interface {
	begin() error
	end() error
	counts() (map[string]int64, error)

	// whole says that calls outside of the measured time are counted, too.
	whole() bool
}

// callTool attaches to a process.
type callTool struct {
	name   string
	attach func(pid int) (callWatch, error)
}

// findCallTool returns what can count here: perf, else strace.
func findCallTool(ctx context.Context) (callTool, error) {
	perfErr := tryPerf(ctx)
	if perfErr == nil {
		return callTool{"perf", attachPerf}, nil
	}
	straceErr := tryStrace(ctx)
	if straceErr == nil {
		return callTool{"strace", attachStrace}, nil
	}
	return callTool{}, &serving.Missing{
		Why:  fmt.Sprintf("system calls are not counted: %v; %v", perfErr, straceErr),
		Type: "apt-get install strace",
	}
}

// countedLoad runs one load on a server, and says how many operations there were in the
// measured time, and in all.
type countedLoad func(progress func(load.Progress)) (measured, all int64, err error)

// countCalls counts what a server calls for one load. Connecting says that what its
// connections cost once belongs to it.
func countCalls(tool callTool, pid int, connecting bool, run countedLoad) (operations int64, calls map[string]int64, err error) {
	w, err := tool.attach(pid)
	if err != nil {
		return 0, nil, err
	}
	var marks error
	measured, all, err := run(func(p load.Progress) {
		switch {
		case p.Phase == load.Measuring && p.Elapsed == 0:
			marks = errors.Join(marks, w.begin())
		case p.Phase == load.Finishing && p.Elapsed == 0:
			marks = errors.Join(marks, w.end())
		}
	})
	calls, countsErr := w.counts()
	if err := errors.Join(err, marks, countsErr); err != nil {
		return 0, nil, err
	}
	switch {
	case !w.whole():
		return measured, calls, nil
	case connecting:
		return all, calls, nil
	default:
		return all, withoutConnecting(calls), nil
	}
}

// connectionCalls are those that a connection costs once, however much is sent on it.
var connectionCalls = []string{
	"accept", "accept4", "close", "epoll_ctl", "fcntl", "getpeername", "getsockname", "getsockopt", "ioctl", "setsockopt", "shutdown",
}

// withoutConnecting leaves out what connections cost.
func withoutConnecting(calls map[string]int64) map[string]int64 {
	kept := map[string]int64{}
	for name, n := range calls {
		if !slices.Contains(connectionCalls, name) {
			kept[name] = n
		}
	}
	return kept
}

// callCounter counts for each contender of a cell, and records it.
type callCounter struct {
	tool   callTool
	record func(kind string, value any) error
	log    io.Writer
}

// count does it for one contender. That a tool fails is told, and ends nothing.
func (c *callCounter) count(ctx context.Context, test, cell string, s *server, run countedLoad) error {
	operations, calls, err := countCalls(c.tool, s.PID(), test == churnTest, run)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		fmt.Fprintf(c.log, "system calls of %s in %s %s are not counted: %v\n", s.name, test, cell, err)
		return nil
	}
	return c.record("calls", callsLine{test, cell, s.name, c.tool.name, operations, calls})
}
