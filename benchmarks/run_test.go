package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/internal/load"
)

// The test binary is also the processes that a run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == serveCommand || os.Args[1] == loadCommand) {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	// Race builds sleep for a second before they end; the children need not.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

func TestEchoEndToEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	args := strings.Fields("-cells 2x64x1 -rounds 2 -round-duration 50ms -warm-up 10ms -contenders floor,std -json " + path)
	var out, log strings.Builder
	if code := run(args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, log.String(), out.String())
	}
	base := "floor"
	if runtime.GOOS != "linux" {
		base = "std"
		if !strings.Contains(log.String(), "no floor on this system") {
			t.Errorf("it does not say that there is no floor:\n%s", log.String())
		}
	}
	for _, want := range []string{"2x64x1", "std", base + again, "verified", runtime.Version()} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	kinds := countKinds(t, path)
	if kinds["setting"] != 1 || kinds["sample"] != 2*kinds["summary"] || kinds["summary"] < 2 {
		t.Errorf("results hold %v", kinds)
	}
}

func countKinds(t *testing.T, path string) map[string]int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kinds := map[string]int{}
	for lines := json.NewDecoder(f); ; {
		var l struct{ Kind string }
		if err := lines.Decode(&l); err == io.EOF {
			return kinds
		} else if err != nil {
			t.Fatal(err)
		}
		kinds[l.Kind]++
	}
}

func TestIdleEndToEnd(t *testing.T) {
	var out, log strings.Builder
	args := strings.Fields("idle -from 20 -to 60 -steps 2 -contenders floor,std")
	if code := run(args, strings.NewReader(""), &out, &log); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, log.String(), out.String())
	}
	for _, want := range []string{"std", "unforced", "[20 40 60]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// Every contender echoes byte for byte: single bytes, bulk that does not fit into
// the socket buffers, and many connections.
func TestContendersEcho(t *testing.T) {
	for _, c := range contenders() {
		t.Run(c.name, func(t *testing.T) {
			address, err := startHere(t, c)
			var missing *serving.Missing
			if errors.As(err, &missing) {
				t.Skip(missing)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, cell := range []cell{
				{Connections: 2, Size: 1, Depth: 1}, {Connections: 100, Size: 64, Depth: 16}, {Connections: 4, Size: 3 << 20, Depth: 2},
			} {
				result, err := load.Run(t.Context(), load.Config{
					Address: address, Connections: cell.Connections, MessageSize: cell.Size, Depth: cell.Depth,
					Duration: 50 * time.Millisecond, Patience: time.Minute, Reset: true,
				}, nil)
				if err := errors.Join(err, result.Err()); err != nil {
					t.Fatalf("%v: %v", cell, err)
				}
			}
		})
	}
}

// startHere starts a contender in this process, or its own program.
func startHere(t *testing.T, c contender) (address string, err error) {
	if c.build == nil {
		return c.start()
	}
	s, err := startServer(t.Context(), "", c.name)
	if err != nil {
		return "", err
	}
	t.Cleanup(s.Stop)
	return s.address, nil
}

// A wrong byte fails the run, and names where.
func TestCorruptionFailsTheRun(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Write(make([]byte, 64))
		_, _ = io.Copy(io.Discard, c)
	}()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.NewReader(strings.Repeat(`{"cpu_ns":1}`, 10))
	b := &interleaver{
		rounds:  1,
		left:    newEstimate(1),
		exe:     exe,
		log:     io.Discard,
		servers: []*server{{serving.Attach(l.Addr().String(), nowhere{}, answers), "liar", l.Addr().String()}},
		record:  func(string, any) error { t.Error("a sample was taken"); return nil },
	}
	j := echoJob{cell{Connections: 1, Size: 64, Depth: 1}, 0, 10 * time.Second}
	err = b.run(t.Context(), j)
	if err == nil || !strings.Contains(err.Error(), "1x64x1, round 1, liar") {
		t.Errorf("got %v", err)
	}
}

// nowhere is a pipe to a server that needs no telling.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Close() error                { return nil }

func TestServeAnswersAndEnds(t *testing.T) {
	var out strings.Builder
	if code := serve([]string{"std"}, strings.NewReader("mem\ngc\nuse\nnonsense\n"), &out); code != 0 {
		t.Fatalf("exit code %d: %s", code, out.String())
	}
	for _, want := range []string{`"address":"127.0.0.1:`, `"heap_inuse":`, `"allocs":`, `unknown command`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Count(out.String(), "\n") != 5 {
		t.Errorf("want a line for each of four commands and the address:\n%s", out.String())
	}
	for _, args := range [][]string{nil, {"nobody"}} {
		if code := serve(args, strings.NewReader(""), io.Discard); code == 0 {
			t.Errorf("serve %q: exit code 0", args)
		}
	}
}

func TestInterruptKeepsWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out strings.Builder
	args := strings.Fields("-cells 1x64x1 -rounds 100000 -round-duration 20ms -warm-up 0s -contenders std")
	err := echoCommand(ctx, echoDefaults(), args, &out, cancelAfterLine{cancel})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(out.String(), "1x64x1") || !strings.Contains(out.String(), "verified") {
		t.Errorf("no table:\n%s", out.String())
	}
}

// cancelAfterLine ends a run when it has told its first progress.
type cancelAfterLine struct{ cancel context.CancelFunc }

func (c cancelAfterLine) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

func TestUnknownCommandsAndFlagsFail(t *testing.T) {
	for _, args := range []string{"walk", "-nonsense", "idle -nonsense", "-rounds 0"} {
		var log strings.Builder
		if code := run(strings.Fields(args), strings.NewReader(""), io.Discard, &log); code != 1 || log.Len() == 0 {
			t.Errorf("%s: exit code %d, %q", args, code, log.String())
		}
	}
	if code := run([]string{"-h"}, strings.NewReader(""), io.Discard, io.Discard); code != 0 {
		t.Errorf("-h: exit code %d", code)
	}
}
