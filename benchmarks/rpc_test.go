package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRPCEndToEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	args := strings.Fields("rpc -cells 2x64x3 -rounds 2 -round-duration 50ms -warm-up 10ms -json " + path)
	var out, log strings.Builder
	if code := run(args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, log.String(), out.String())
	}
	for _, want := range []string{"2x64x3", "net/rpc", "weir", "weir-inline", "net/rpc" + again, "verified", "ratio"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	kinds := countKinds(t, path)
	if kinds["setting"] != 1 || kinds["summary"] != 4 || kinds["sample"] != 8 {
		t.Errorf("results hold %v", kinds)
	}
}

func TestRPCOptions(t *testing.T) {
	for args, want := range map[string]string{
		"-contenders grpc":      `unknown contender "grpc"`,
		"-cells 1x2":            `"1x2" is not a cell`,
		"-cells 10x64@1000":     "10x64@1000 has a rate",
		"-rounds 0":             "-rounds must be at least 1",
		"-round-duration 0s":    "-round-duration must be positive",
		"-warm-up -1s":          "-warm-up must not be negative",
		"extra":                 `unexpected argument "extra"`,
		"-contenders weir,weir": "weir is named twice",
	} {
		var usage strings.Builder
		if _, err := rpcDefaults().parse(strings.Fields(args), &usage); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// TestRPCCallerChecks: a caller notices an answer that differs, and one that is an error.
func TestRPCCallerChecks(t *testing.T) {
	broken := errors.New("broken")
	for want, call := range map[string]rpcCall{
		"the answer is not what was sent": func([]byte) (bool, error) { return false, nil },
		"broken":                          func([]byte) (bool, error) { return true, broken },
	} {
		c := newRPCCaller(1, 64)
		if err := c.run(context.Background(), call, nil); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestRPCSummary(t *testing.T) {
	var samples []rpcSample
	c := cell{Connections: 1, Size: 64, Depth: 1}
	for round := range 3 {
		samples = append(samples,
			rpcSample{Cell: c, Round: round, Contender: "a", CallsPerSecond: 100, P50: 10, P99: 20, Calls: 10, ServerCPU: 50, ClientCPU: 50},
			rpcSample{Cell: c, Round: round, Contender: "b", CallsPerSecond: 150, P50: 5, P99: 40, Calls: 10, ServerCPU: 100, ClientCPU: 100})
	}
	all := summarizeRPC(samples, []string{"a", "b"})
	if len(all) != 2 || all[0].Calls != (ratio{}) {
		t.Fatalf("got %+v", all)
	}
	if b := all[1]; b.Calls.Median != 1.5 || b.P50s.Median != 0.5 || b.P99s.Median != 2 || b.CPU.Median != 2 || b.P99 != 40*time.Nanosecond || b.CPUPerCall != 20 {
		t.Errorf("got %+v", b)
	}
}
