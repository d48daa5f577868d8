// Package memlimit tells how much memory the process may use.
package memlimit

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// Bytes returns the Go runtime's memory limit (GOMEMLIMIT) if one is set, else
// the cgroup's (version 2 or 1), else the machine's memory; 0 if the system does
// not say.
func Bytes() int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return limit
	}
	return smallest(machine(), cgroup("/sys/fs/cgroup/memory.max"), cgroup("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
}

// cgroup reads a limit file; 0 if there is none or it sets no limit.
func cgroup(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 {
		return 0
	}
	return limit
}

// smallest returns the smallest of the limits that are known.
func smallest(limits ...int64) (least int64) {
	for _, limit := range limits {
		if limit > 0 && (least == 0 || limit < least) {
			least = limit
		}
	}
	return least
}
