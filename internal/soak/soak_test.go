//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also the processes that a soak starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == serveRole || os.Args[1] == clientsRole) {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	// Race builds sleep for a second before they end; the children need not.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	code := m.Run()
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		fmt.Println("FAIL: a soak has left a process")
		code = 1
	}
	os.Exit(code)
}

// enough is a soak's output, and stops the soak when it has told of so many cycles.
type enough struct {
	io.Writer
	cycles int
	stop   func()
}

func (e *enough) Write(p []byte) (int, error) {
	if strings.Contains(string(p), ", played ") {
		if e.cycles--; e.cycles == 0 {
			e.stop()
		}
	}
	return e.Writer.Write(p)
}

// A soak at a tenth of its size: everything is played, and nothing is wrong. Servers that
// take longer to start than the soak is to take are soaked all the same.
func TestSmallSoakPasses(t *testing.T) {
	for _, duration := range []string{"3s", "1ms"} {
		t.Run(duration, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			code := run([]string{"-small", "-duration=" + duration, "-seed=1"}, strings.NewReader(""), &out, &out)
			for _, want := range []string{"soak of " + duration + ", seed 1\n", "cycle 0, played ", "the mortal server ended ", "passed: "} {
				if code != 0 || !strings.Contains(out.String(), want) {
					t.Fatalf("exit code %d, want 0 and %q in\n%s", code, want, out.String())
				}
			}
		})
	}
}

// A server that leaks makes the soak fail, and is named.
func TestLeakFailsTheSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	for leak, want := range map[string]string{
		leakDescriptors: "pool: not back at the base: descriptors ",
		leakGoroutines:  "inline: not back at the base: ",
		leakMemory:      "pool: heap grows by ",
	} {
		t.Run(leak, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
			defer cancel()
			lastly := &enough{Writer: &out, cycles: warmUpCycles + pointsMin + 2, stop: cancel}
			v, err := soak(ctx, settings{duration: time.Hour, seed: 2, small: true, leak: leak}, lastly)
			if err != nil {
				t.Fatal(err)
			}
			if v.passed() || !strings.Contains(out.String(), "FAILED: ") || !strings.Contains(out.String(), want) {
				t.Errorf("a leak of %s was not noticed; want %q in\n%s", leak, want, out.String())
			}
		})
	}
}

// An interrupt ends a soak soon, which reports what there is; no process is left.
func TestInterruptedSoakReports(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	v, err := soak(ctx, settings{duration: time.Hour, seed: 3, small: true}, &enough{Writer: &out, cycles: 1, stop: cancel})
	if err != nil || !v.passed() {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"interrupted\n", "pool: 1 cycles", "0 samples, a slope takes 8"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestBadFlagsExitWithTwo(t *testing.T) {
	for arg, want := range map[string]string{
		"-duration=0s": "-duration 0s: must be above 0", "-seed=x": `"x"`, "-nonsense": "-nonsense", "more": `argument "more"`,
	} {
		var log strings.Builder
		if code := run([]string{arg}, strings.NewReader(""), io.Discard, &log); code != 2 || !strings.Contains(log.String(), want) {
			t.Errorf("%s: exit code %d, %q", arg, code, log.String())
		}
	}
	var help strings.Builder
	if code := run([]string{"-h"}, strings.NewReader(""), &help, &help); code != 0 || !strings.Contains(help.String(), "-duration") {
		t.Errorf("-h: exit code %d, %q", code, help.String())
	}
}

func TestChildrenRefuseBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{serveRole}, {serveRole, "nobody"}, {serveRole, poolServer, "-nonsense"}, {serveRole, poolServer, "-leak=time"},
		{clientsRole}, {clientsRole, "x", "127.0.0.1:1"}, {clientsRole, "1", "nowhere"},
	} {
		var out strings.Builder
		if code := run(args, strings.NewReader(""), &out, io.Discard); code == 0 || !strings.Contains(out.String(), `"error":`) {
			t.Errorf("%q: exit code %d, %s", args, code, out.String())
		}
	}
}
