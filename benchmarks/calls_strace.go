package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// strace stops the server at each call. It counts from when it is attached until it is
// stopped.

// tryStrace says why strace cannot be used, if so.
func tryStrace(ctx context.Context) error {
	said, err := exec.CommandContext(ctx, "strace", "-c", "-f", "true").CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("no strace")
	case err != nil:
		return fmt.Errorf("strace: %s", firstLine(said))
	}
	return nil
}

// straceWatch is a running strace.
type straceWatch struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	rest chan struct{} // closed when all that it says has been read
}

func attachStrace(pid int) (callWatch, error) {
	w := &straceWatch{rest: make(chan struct{})}
	w.cmd = exec.Command("strace", "-c", "-f", "-p", strconv.Itoa(pid))
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	go func() {
		defer close(w.rest)
		_, _ = io.Copy(&w.said, lines)
	}()
	if err != nil || !strings.Contains(first, "attached") {
		_, _ = w.counts()
		return nil, fmt.Errorf("strace: %s", strings.TrimSpace(first))
	}
	return w, nil
}

func (w *straceWatch) begin() error { return nil }
func (w *straceWatch) end() error   { return nil }
func (w *straceWatch) whole() bool  { return true }

func (w *straceWatch) counts() (map[string]int64, error) {
	_ = w.cmd.Process.Signal(os.Interrupt) // it writes its table, and ends
	<-w.rest
	_ = w.cmd.Wait() // by the signal
	return parseStrace(w.said.Bytes())
}

// parseStrace reads the table: % time, seconds, usecs/call, calls, errors if any, name.
func parseStrace(said []byte) (map[string]int64, error) {
	counts := map[string]int64{}
	for line := range strings.Lines(string(said)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[len(fields)-1] == "total" {
			continue
		}
		if n, err := strconv.ParseInt(fields[3], 10, 64); err == nil {
			counts[fields[len(fields)-1]] = n
		}
	}
	if len(counts) == 0 {
		return nil, fmt.Errorf("strace: no counts: %s", firstLine(said))
	}
	return counts, nil
}
