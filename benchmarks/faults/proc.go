//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// What the kernel says of a process. It is asked from outside, so that a server
// without descriptors, or one that hangs, can be watched, too. A process that is
// gone has nothing.

// descriptorsOf counts the open descriptors of a process.
func descriptorsOf(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0
	}
	return len(entries)
}

// residentOf is the resident memory of a process, in bytes.
func residentOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseInt(kib, 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// processorTimeOf is what a process has used so far. The kernel counts it in
// hundredths of a second.
func processorTimeOf(pid int) time.Duration {
	fields := statOf(pid)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// stopped tells whether a process was stopped by a signal.
func stopped(pid int) bool {
	fields := statOf(pid)
	return len(fields) > 0 && fields[0] == "T"
}

// statOf returns the fields of proc_pid_stat(5) from the third, the state, on.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may contain spaces
	return strings.Fields(rest)
}
