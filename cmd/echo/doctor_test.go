//go:build unix

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestDoctor(t *testing.T) {
	out, errs, code := runToEnd(t, "doctor")
	if code != 0 || errs != "" {
		t.Errorf("exit code %d, standard error %q", code, errs)
	}
	for _, part := range []string{"open files", "accept queue", "local ports", "memory", "docs/tuning.md"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing in %q", part, out)
		}
	}
}

func TestExamine(t *testing.T) {
	large := limits{softFiles: 1 << 20, hardFiles: 1 << 20, backlog: 4096, portLow: 32768, portHigh: 60999, memory: 1 << 30}
	small := limits{softFiles: 256, hardFiles: 4096, backlog: 128, portLow: 49152, portHigh: 65535}
	for _, system := range []string{"linux", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly"} {
		findings, err := examine(large, system)
		if err != nil {
			t.Error(err)
		}
		for _, f := range findings {
			if f.verdict != "ok" || f.command != "" {
				t.Errorf("%s, with enough of all: %+v", system, f)
			}
		}
		findings, err = examine(small, system)
		if err != nil {
			t.Error(err)
		}
		for _, f := range findings {
			if f.verdict != "raise" || f.command == "" || strings.Contains(f.command, "%!") {
				t.Errorf("%s, with little of all: %+v", system, f)
			}
		}
	}
}

func TestExamineWhatCannotBeRead(t *testing.T) {
	findings, err := examine(limits{
		filesErr:   errors.New("broken"),
		backlogErr: fmt.Errorf("sysctl: %w", errors.ErrUnsupported),
		portLow:    1024, portHigh: 65535,
	}, "netbsd")
	if err == nil || err.Error() != "open files: broken" {
		t.Errorf("got %v", err)
	}
	for i, verdict := range []string{"unknown", "unknown", "ok", "raise"} {
		if findings[i].verdict != verdict {
			t.Errorf("want %s: %+v", verdict, findings[i])
		}
	}
}
