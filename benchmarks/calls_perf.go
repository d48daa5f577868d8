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
	"slices"
	"strconv"
	"strings"
)

// perf counts with the kernel's tracepoints. It is attached before the load begins, and
// switched on and off through a pipe.

const (
	perfPrefix = "syscalls:sys_enter_"
	perfAll    = "raw_syscalls:sys_enter"
)

// perfCalls are those that servers make often; the rest is counted as "other".
var perfCalls = []string{
	"read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"epoll_ctl", "accept4", "close", "shutdown", "setsockopt", "futex", "nanosleep", "clock_nanosleep", "sched_yield", "timerfd_settime",
}

// perfEvents are the tracepoints that this kernel has of those, if perf may use them.
func perfEvents(ctx context.Context) ([]string, error) {
	list, err := exec.CommandContext(ctx, "perf", "list", "--raw-dump", "tracepoint").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("no perf")
	}
	events := []string{perfAll}
	for word := range strings.FieldsSeq(string(list)) {
		if name, ok := strings.CutPrefix(word, perfPrefix); ok && slices.Contains(perfCalls, name) {
			events = append(events, word)
		}
	}
	try := exec.CommandContext(ctx, "perf", "stat", "-x,", "-e", strings.Join(events, ","), "true")
	said, err := try.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("perf: %s", firstLine(said))
	}
	if counts, err := parsePerf(said); err != nil || len(counts) == 0 {
		return nil, errors.New("perf counts no system calls")
	}
	return events, nil
}

// perfWatch is a running perf.
type perfWatch struct {
	cmd     *exec.Cmd
	said    bytes.Buffer
	control *os.File
	acks    *bufio.Reader
}

func attachPerf(pid int, events []string) (callWatch, error) {
	controlRead, control, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	acks, ackWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w := &perfWatch{control: control, acks: bufio.NewReader(acks)}
	w.cmd = exec.Command("perf", "stat", "-x,", "-D", "-1", "--control", "fd:3,4", "-e", strings.Join(events, ","), "-p", strconv.Itoa(pid))
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
	return parsePerf(w.said.Bytes())
}

// parsePerf reads lines of the form count,unit,event,… What is not in the list of events
// becomes "other".
func parsePerf(said []byte) (map[string]int64, error) {
	counts := map[string]int64{}
	all, known := int64(-1), int64(0)
	for line := range strings.Lines(string(said)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) < 3 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			continue // "<not counted>"
		}
		if fields[2] == perfAll {
			all = n
		} else if name, ok := strings.CutPrefix(fields[2], perfPrefix); ok && n > 0 {
			counts[name] = n
			known += n
		}
	}
	if all < 0 {
		return nil, fmt.Errorf("perf: no counts: %s", firstLine(said))
	}
	if other := all - known; other > 0 {
		counts["other"] = other
	}
	return counts, nil
}
