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

// perf counts with one of the kernel's tracepoints, once for all calls and once for each
// that servers make often, told by its number. It is attached before the load begins, and
// switched on and off through a pipe.

const perfEvent = "raw_syscalls:sys_enter"

// numberedCall is a system call of this system.
type numberedCall struct {
	name   string
	number int
}

// perfArguments are what perf is to count: all first, then those of calls.
func perfArguments(calls []numberedCall) []string {
	args := []string{"stat", "-x,", "-e", perfEvent}
	for _, c := range calls {
		args = append(args, "-e", perfEvent, "--filter", fmt.Sprintf("id == %d", c.number))
	}
	return args
}

// tryPerf says why perf cannot be used, if so.
func tryPerf(ctx context.Context) error {
	calls := frequentCalls()
	if len(calls) == 0 {
		return errors.New("no perf on this system")
	}
	said, err := exec.CommandContext(ctx, "perf", append(perfArguments(calls), "true")...).CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("no perf")
	case err != nil:
		return fmt.Errorf("perf: %s", firstLine(said))
	}
	_, err = parsePerf(said, calls)
	return err
}

// perfWatch is a running perf.
type perfWatch struct {
	cmd     *exec.Cmd
	calls   []numberedCall
	said    bytes.Buffer
	control *os.File
	acks    *bufio.Reader
}

func attachPerf(pid int) (callWatch, error) {
	controlRead, control, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	acks, ackWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w := &perfWatch{control: control, acks: bufio.NewReader(acks), calls: frequentCalls()}
	w.cmd = exec.Command("perf", append(perfArguments(w.calls), "-D", "-1", "--control", "fd:3,4", "-p", strconv.Itoa(pid))...)
	w.cmd.ExtraFiles = []*os.File{controlRead, ackWrite} // 3 and 4 there
	w.cmd.Stderr = &w.said
	err = w.cmd.Start()
	controlRead.Close()
	ackWrite.Close()
	if err != nil {
		return nil, err
	}
	return w, w.tell("disable") // it answers when it is attached
}

func (w *perfWatch) begin() error { return w.tell("enable") }
func (w *perfWatch) end() error   { return w.tell("disable") }
func (w *perfWatch) whole() bool  { return false }

// tell waits until perf has done what it is told.
func (w *perfWatch) tell(command string) error {
	if _, err := io.WriteString(w.control, command+"\n"); err != nil {
		return fmt.Errorf("perf: %w", err)
	}
	if _, err := w.acks.ReadString('\n'); err != nil {
		return fmt.Errorf("perf: %w", err)
	}
	return nil
}

func (w *perfWatch) counts() (map[string]int64, error) {
	_ = w.cmd.Process.Signal(os.Interrupt) // it writes its counts, and ends
	_ = w.cmd.Wait()                       // by the signal
	w.control.Close()
	return parsePerf(w.said.Bytes(), w.calls)
}

// parsePerf reads lines of the form count,unit,event,…: of all calls, then of each of
// calls. What is not among these becomes "other".
func parsePerf(said []byte, calls []numberedCall) (map[string]int64, error) {
	var numbers []int64
	for line := range strings.Lines(string(said)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) < 3 || fields[2] != perfEvent {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("perf: %s", strings.TrimSpace(line)) // "<not counted>"
		}
		numbers = append(numbers, n)
	}
	if len(numbers) != 1+len(calls) {
		return nil, fmt.Errorf("perf: %d counts instead of %d: %s", len(numbers), 1+len(calls), firstLine(said))
	}
	counts := map[string]int64{}
	other := numbers[0]
	for i, c := range calls {
		if n := numbers[1+i]; n > 0 {
			counts[c.name] = n
			other -= n
		}
	}
	if other > 0 {
		counts["other"] = other
	}
	return counts, nil
}
