//go:build unix

package main

import (
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/weirnet/weir/internal/load"
	"github.com/weirnet/weir/session"
)

func TestDemoFanout(t *testing.T) {
	for _, mode := range []string{"pool", "inline", "single"} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, "demo", "-fanout", "20", "-t", "100ms", "-mode", mode)
			out := p.awaitEnd(0)
			for _, part := range []string{
				"20 × 64 B", "deliveries/s", "p50", "p99", "p99.9", "64 under way, until the last has it",
				"1,000 messages/s, until the last has it", "1,000 messages/s, until each has it",
				"the load's own delay", "all read",
				"bytes verified", "slow_consumer 1\n", "0 sessions, 0 B of buffers",
			} {
				if !strings.Contains(out, part) {
					t.Errorf("%q is missing in\n%s", part, out)
				}
			}
			for _, policy := range slowPolicies {
				checkPolicyRow(t, out, policy)
			}
			if p.errs.Len() > 0 {
				t.Errorf("standard error: %q", p.errs.String())
			}
			checkAlone(t, p.Process.Pid)
		})
	}
}

// checkPolicyRow looks at what the table says of a policy.
func checkPolicyRow(t *testing.T, out string, policy session.SlowPolicy) {
	t.Helper()
	row := regexp.MustCompile(`(?m)^ *` + policy.String() + ` +\S+s +\S+s +\S+s +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) *$`).FindStringSubmatch(out)
	if row == nil {
		t.Errorf("no row of %v in\n%s", policy, out)
		return
	}
	var n [5]int
	for i := range n {
		n[i], _ = strconv.Atoi(row[i+1])
	}
	sent, delivered, dropped, unsent, closed := n[0], n[1], n[2], n[3], n[4]
	if policy == session.CloseSlow {
		if dropped != 0 || unsent == 0 || closed != 1 || delivered == 0 || delivered+unsent > sent {
			t.Errorf("%v: %q", policy, row[0])
		}
	} else if dropped == 0 || unsent != 0 || closed != 0 || delivered == 0 || delivered+dropped != sent {
		t.Errorf("%v: %q", policy, row[0])
	}
}

func TestInterruptEndsDemoFanout(t *testing.T) {
	for _, at := range []string{"20 sessions$", "at a fixed rate$", "all read$", "not read: close$", "not read: conflate$"} {
		t.Run(at, func(t *testing.T) {
			p := startInStep(t, "demo", "-fanout", "20", "-t", "600ms")
			p.await(at)
			if err := syscall.Kill(-p.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			p.awaitEnd(exitInterrupted)
			checkOneLine(t, withoutWatchdog(p.errs.String()), "echo: demo: interrupted")
			checkAlone(t, p.Process.Pid)
		})
	}
}

// What the stuck one got must be what was counted.
func TestDemoNoticesAMiscount(t *testing.T) {
	fine := stuckResult{others: load.FanResult{Sent: 100}, delivered: 60, group: session.GroupStats{Dropped: 40}, read: load.FanRead{Messages: 60}}
	closed := stuckResult{others: load.FanResult{Sent: 100}, delivered: 60, group: session.GroupStats{Unsent: 40, Closed: 1}, read: load.FanRead{Messages: 50, Closed: true}}
	for _, r := range []stuckResult{fine, closed} {
		if err := r.check(); err != nil {
			t.Error(err)
		}
	}
	for name, spoil := range map[string]func(fine, closed *stuckResult){
		"broken":            func(r, _ *stuckResult) { r.read.Broken = true },
		"disorder":          func(r, _ *stuckResult) { r.read.Disorder = 1 },
		"closed":            func(r, _ *stuckResult) { r.read.Closed = true },
		"one came too few":  func(r, _ *stuckResult) { r.read.Messages-- },
		"one lost":          func(r, _ *stuckResult) { r.read.Messages--; r.delivered-- },
		"not closed":        func(_, r *stuckResult) { r.read.Closed = false },
		"one came too many": func(_, r *stuckResult) { r.read.Messages = 61 },
	} {
		a, b := fine, closed
		spoil(&a, &b)
		if a.check() == nil && b.check() == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
