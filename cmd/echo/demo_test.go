//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// checkAlone waits until nothing of the program's process group is left.
func checkAlone(t *testing.T, group int) {
	t.Helper()
	for deadline := time.Now().Add(patience); syscall.Kill(-group, 0) != syscall.ESRCH; {
		if time.Now().After(deadline) {
			t.Fatal("a child is left behind")
		}
		time.Sleep(time.Millisecond) // an orphan, if there is one, is on its way
	}
}

func TestDemo(t *testing.T) {
	p := start(t, "demo", "-t", "50ms")
	out := p.awaitEnd(0)
	for _, part := range []string{
		"round trips/s", "p50", "p99", "p99.9", "50 × 64 B, depth 1 ", "50 × 64 B, depth 16 ", "4 × 64 KiB, depth 4 ",
		"bytes verified", "one message to 100 sessions", " deliveries/s; p99 ", "memory per idle session", "sessions closed", "peer_closed", "left behind", "0 sessions, 0 B of buffers",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing in\n%s", part, out)
		}
	}
	if strings.ContainsAny(out, "\r\x1b") {
		t.Errorf("not written for a terminal, but moves its cursor: %q", out)
	}
	checkAlone(t, p.Process.Pid)
}

func TestInterruptEndsDemo(t *testing.T) {
	for _, at := range []string{"depth 1$", "depth 4$", "idle sessions: 6,000"} {
		phase := "50ms"
		if at == "depth 1$" {
			phase = "1h"
		}
		t.Run(at, func(t *testing.T) {
			p := startInStep(t, "demo", "-t", phase)
			p.await(at)
			// As the terminal does it: to the whole group.
			if err := syscall.Kill(-p.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			p.awaitEnd(exitInterrupted)
			checkOneLine(t, withoutWatchdog(p.errs.String()), "echo: demo: interrupted")
			checkAlone(t, p.Process.Pid)
		})
	}
}

// SIGTERM reaches only the process that it is sent to.
func TestTermEndsDemo(t *testing.T) {
	p := start(t, "demo", "-t", "1h")
	p.await("depth 1$")
	p.end(syscall.SIGTERM, exitInterrupted)
	checkAlone(t, p.Process.Pid)
}

// One wrong byte fails the demo.
func TestDemoNoticesAWrongByte(t *testing.T) {
	t.Setenv(asProgram, "1")
	d := demo{phase: 50 * time.Millisecond, live: &live{out: t.Output()}}
	if err := errors.Join(d.prepare(), d.start(engine.Inline)); err != nil {
		t.Fatal(err)
	}
	defer d.engine.Close()
	l, err := d.engine.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(func(s *session.Session, f session.Frame) {
		other := bytes.Clone(f.Bytes())
		other[len(other)-1] ^= 1
		_ = s.Send(other) // the client may be gone
	}))
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	if err := d.measure(t.Context(), d.loads()[0]); err == nil || !strings.Contains(err.Error(), "wrong byte") {
		t.Errorf("got %v", err)
	}
}

func TestDemoScalesDown(t *testing.T) {
	for files, want := range map[int]int{20: 1, 64: 1, 130: 30, 1024: 50} {
		if got := (&demo{files: files}).affordable(50); got != want {
			t.Errorf("%d connections with %d files, want %d", got, files, want)
		}
	}
	if text := (idleResult{few: 4, many: 24}).memory(); !strings.Contains(text, "cannot be told") {
		t.Errorf("a slope of 20 sessions: %q", text)
	}
}

func TestDemoEndsWithItsParent(t *testing.T) {
	p := start(t, "demo", "-t", "1h")
	p.await("depth 1$")
	p.end(os.Kill, -1)
	checkAlone(t, p.Process.Pid)
}
