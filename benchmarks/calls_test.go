package main

import (
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

func TestParsePerf(t *testing.T) {
	calls := []numberedCall{{"recvfrom", 45}, {"sendto", 44}, {"futex", 202}}
	said := `1000,,raw_syscalls:sys_enter,123,100.00,,
400,,raw_syscalls:sys_enter,123,100.00,,
350,,raw_syscalls:sys_enter,123,100.00,,
0,,raw_syscalls:sys_enter,123,100.00,,
`
	got, err := parsePerf([]byte(said), calls)
	if want := map[string]int64{"recvfrom": 400, "sendto": 350, "other": 250}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, said := range []string{"event syntax error: 'raw'\n", "<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"} {
		if _, err := parsePerf([]byte(said), calls); err == nil || !strings.Contains(err.Error(), strings.Fields(said)[0]) {
			t.Errorf("got %v", err)
		}
	}
}

func TestParseStrace(t *testing.T) {
	said := `strace: Process 7 detached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           6       100           sendto
 40.00    0.000400           2       200        50 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           3       300        50 total
`
	got, err := parseStrace([]byte(said))
	if want := map[string]int64{"sendto": 100, "recvfrom": 200}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseStrace([]byte("strace: attach: Operation not permitted\n")); err == nil {
		t.Error("no error of a table that is not there")
	}
}

func TestConnectingIsLeftOut(t *testing.T) {
	got := withoutConnecting(map[string]int64{"accept4": 9, "close": 9, "recvfrom": 5})
	if !maps.Equal(got, map[string]int64{"recvfrom": 5}) {
		t.Errorf("got %v", got)
	}
	if n := (callsLine{Operations: 4, Calls: map[string]int64{"read": 5, "write": 3}}).perOperation(); n != 2 {
		t.Errorf("got %v per operation", n)
	}
}

// An echo at depth 1 is at least a read and a write. Each tool that there is must say so.
func TestToolsCountTheCallsOfAnEcho(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), exe, "std")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	var tools []callTool
	if err := tryPerf(t.Context()); err == nil {
		tools = append(tools, callTool{"perf", attachPerf})
	} else {
		t.Log(err)
	}
	if err := tryStrace(t.Context()); err == nil {
		tools = append(tools, callTool{"strace", attachStrace})
	} else {
		t.Log(err)
	}
	for _, tool := range tools {
		n, calls, err := countCalls(tool, s.PID(), false, echoes(s.address))
		if err != nil {
			t.Errorf("%s: %v", tool.name, err)
			continue
		}
		l := callsLine{Operations: n, Calls: calls}
		if most := n * 3 / 4; l.perOperation() < 1.5 || calls["write"] < most || calls["read"] < most {
			t.Errorf("%s: %d round trips, %v", tool.name, n, calls)
		}
	}
	if _, err := findCallTool(t.Context()); err != nil {
		var missing *serving.Missing
		if !errors.As(err, &missing) || missing.Type == "" {
			t.Errorf("nothing counts, and it does not say what to type: %v", err)
		}
	}
}

// echoes is a load that goes on when the tool has obeyed, which may be long after it was told:
// a load in a process of its own would be over.
func echoes(address string) countedLoad {
	return func(progress func(load.Progress)) (measured, all int64, err error) {
		c, err := net.Dial("tcp4", address)
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		const times = 500
		progress(load.Progress{Phase: load.Measuring})
		for message := make([]byte, 64); measured < times; measured++ {
			if _, err := c.Write(message); err != nil {
				return 0, 0, err
			}
			if _, err := io.ReadFull(c, message); err != nil {
				return 0, 0, err
			}
		}
		progress(load.Progress{Phase: load.Finishing})
		return measured, measured, nil
	}
}

// A load that fails is told, and the tool is not left behind.
func TestCountingEndsWithAFailedLoad(t *testing.T) {
	ended := false
	tool := callTool{"fake", func(int) (callWatch, error) { return fakeWatch{&ended}, nil }}
	_, _, err := countCalls(tool, 1, false, func(func(load.Progress)) (int64, int64, error) { return 0, 0, errors.New("broken") })
	if err == nil || !ended {
		t.Errorf("%v; ended: %v", err, ended)
	}
}

type fakeWatch struct{ ended *bool }

func (fakeWatch) begin() error                        { return nil }
func (fakeWatch) end() error                          { return nil }
func (fakeWatch) whole() bool                         { return false }
func (w fakeWatch) counts() (map[string]int64, error) { *w.ended = true; return nil, nil }
