package load_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/load"
)

// childArgument makes the test binary a load process.
const childArgument = "load-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		os.Exit(load.Main(os.Args[2:], os.Stdin, os.Stdout))
	}
	// Race builds sleep for a second before they end; the children need not.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

func executable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func TestChildRunsALoad(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	c := config(s.address)
	phases := map[load.Phase]bool{}
	r := measured(t, &c.Duration, func() (load.Result, error) {
		return load.Child(t.Context(), executable(t), []string{childArgument}, c, func(p load.Progress) { phases[p.Phase] = true })
	}, func(r load.Result) int64 { return r.Messages + int64(r.ErrorCount) })
	checkClean(t, c, r)
	if !phases[load.WarmingUp] || !phases[load.Measuring] || !phases[load.Finishing] {
		t.Errorf("progress of phases %v only", phases)
	}
}

func TestChildReportsWhatFailed(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	s.stop()
	_, err := load.Child(t.Context(), executable(t), []string{childArgument}, config(s.address), nil)
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestChildEndsWithItsContext(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	c := config(s.address)
	c.WarmUp, c.Duration = 0, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := load.Child(ctx, executable(t), []string{childArgument}, c, func(p load.Progress) {
		if p.Phase == load.Measuring && p.Elapsed > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if r.Messages == 0 {
		t.Error("what was measured so far is missing")
	}
}

func TestMainEndsWhenItsInputEnds(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	in, parent := io.Pipe()
	lines, out := io.Pipe()
	code := make(chan int)
	go func() {
		code <- load.Main([]string{"run", `{"address":"` + s.address + `","connections":1,"message_size":1,"depth":1,"duration_ns":3600000000000}`}, in, out)
		out.Close()
	}()
	scanner := bufio.NewScanner(lines)
	if !scanner.Scan() || !strings.Contains(scanner.Text(), `"warm-up"`) {
		t.Fatalf("first line is %q", scanner.Text())
	}
	parent.Close()
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	select {
	case got := <-code:
		if got != 1 {
			t.Errorf("exit code %d of a run cut short, want 1", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still running without a parent")
	}
}

func TestMainRefusesWhatItCannotRead(t *testing.T) {
	for _, args := range [][]string{nil, {"run"}, {"walk", "x"}, {"run", "{"}, {"run", "{}"}, {"idle", "nowhere"}} {
		var out strings.Builder
		if code := load.Main(args, strings.NewReader(""), &out); code == 0 || !strings.Contains(out.String(), `"error"`) {
			t.Errorf("%q: exit code %d, output %q", args, code, out.String())
		}
	}
}

func TestIdleChild(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	idle, err := load.StartIdle(t.Context(), executable(t), []string{childArgument}, s.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{10, 30} {
		if err := idle.Grow(n); err != nil {
			t.Fatal(err)
		}
	}
	if took, err := idle.Probe(); err != nil || took <= 0 {
		t.Errorf("probe: %v, %v", took, err)
	}
	if n, err := idle.Disturbed(); err != nil || n != 0 {
		t.Errorf("disturbed: %d, %v", n, err)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
}

func TestIdleChildReportsALostServer(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	idle, err := load.StartIdle(t.Context(), executable(t), []string{childArgument}, s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := idle.Grow(1); err == nil {
		t.Error("grew without a server")
	}
	if err := idle.Close(); err == nil {
		t.Error("the child's failure is not in its exit code")
	}
}

func TestChurnChild(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	c := churnConfig(s.address)
	measuring := false
	r := measured(t, &c.Duration, func() (load.ChurnResult, error) {
		return load.ChurnChild(t.Context(), executable(t), []string{childArgument}, c, func(p load.Progress) {
			measuring = measuring || p.Phase == load.Measuring
		})
	}, func(r load.ChurnResult) int64 { return r.Lives + int64(r.ErrorCount) })
	if err := r.Err(); err != nil || r.Lives == 0 || !measuring {
		t.Errorf("%+v, %v; told of the measured time: %v", r, err, measuring)
	}
}
