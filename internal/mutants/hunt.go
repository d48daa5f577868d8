package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// simulator is the package whose test runs seeds.
const simulator = "./engine/enginetest"

// build makes the simulator's test program with some files replaced.
func build(root, program string, replace map[string]string) error {
	overlay := program + ".json"
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return err
	}
	// Without symbols it is linked in less time; panics still tell functions and lines.
	cmd := exec.Command("go", "test", "-c", "-ldflags=-s -w", "-overlay", overlay, "-o", program, simulator)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go test -c: %w\n%s", err, out)
	}
	return nil
}

// capture is how a seed failed.
type capture struct {
	seed    string
	message string
	took    time.Duration
}

// hunt runs seeds until one fails: from first on, count at most. It returns nil if none
// does. A program that says nothing for the time of patience has hung.
func hunt(program, dir string, first uint64, count int, patience time.Duration) (*capture, error) {
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.run=^TestSimulation$", "-test.v", "-test.failfast", "-test.timeout=0",
		fmt.Sprintf("-seed=%d", first), fmt.Sprintf("-seeds=%d", count), "-lines=1")
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var panicked bytes.Buffer
	cmd.Stderr = &panicked
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()
	heard := listen(out, func() { silence.Reset(patience) })
	failed := cmd.Wait() != nil
	if !failed {
		return nil, nil
	}
	c := &capture{seed: heard.seed, message: heard.failure, took: time.Since(began)}
	switch {
	case ctx.Err() != nil:
		c.message = fmt.Sprintf("it does not end within %v", patience)
	case c.message == "":
		c.message = firstPanic(panicked.String())
	}
	if c.seed == "" {
		return nil, fmt.Errorf("no seed has begun:\n%s", panicked.String())
	}
	return c, nil
}

// heard is what a test program has said.
type heard struct {
	seed    string // that began last
	failure string
}

var (
	seedLine    = regexp.MustCompile(`^=== RUN\s+TestSimulation/seed=(\d+)`)
	failureLine = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.+)`)
)

// listen reads to the end. Lines of the test that failed come after the line of its seed.
func listen(out io.Reader, alive func()) (h heard) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		alive()
		line := lines.Text()
		if m := seedLine.FindStringSubmatch(line); m != nil {
			h = heard{seed: m[1]}
		} else if m := failureLine.FindStringSubmatch(line); m != nil && h.failure == "" {
			h.failure = m[1]
		} else if strings.HasPrefix(line, "panic: ") && h.failure == "" {
			h.failure = line
		}
	}
	return h
}

// firstPanic finds what a process says that ends with a panic.
func firstPanic(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	return "it ended without a word"
}

// moduleRoot is the directory of go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
