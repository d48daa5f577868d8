//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// memoryGroup is a cgroup with a memory limit, of whatever version the system has.
type memoryGroup struct {
	dir string
	v1  bool
}

// cgroupTool is the name by which a fault says that it takes such a cgroup.
const cgroupTool = "cgroup"

// newMemoryGroup makes one that may use so many bytes and no swap.
func newMemoryGroup(bytes int64) (*memoryGroup, error) {
	g := &memoryGroup{v1: true}
	parent := "/sys/fs/cgroup/memory"
	if _, err := os.Stat(filepath.Join(parent, "memory.limit_in_bytes")); err != nil {
		g.v1, parent = false, "/sys/fs/cgroup"
		_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+memory"), 0) // the limit's file is missing then
	}
	g.dir = filepath.Join(parent, fmt.Sprintf("weir-faults-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	limit, swap := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
	amount := strconv.FormatInt(bytes, 10)
	swapAmount := amount // of both together
	if !g.v1 {
		limit, swap, swapAmount = "memory.max", "memory.swap.max", "0"
	}
	if err := g.write(limit, amount); err != nil {
		g.remove()
		return nil, err
	}
	_ = g.write(swap, swapAmount) // there is no such file without swap
	return g, nil
}

func (g *memoryGroup) write(file, text string) error {
	f, err := os.OpenFile(filepath.Join(g.dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// remove removes it, as soon as nothing is in it.
func (g *memoryGroup) remove() {
	for until := time.Now().Add(settleMax); os.Remove(g.dir) != nil && time.Now().Before(until); {
		time.Sleep(settleStep / 10)
	}
}

// tool starts a program in it, so that all that it uses counts.
func (g *memoryGroup) tool() []string {
	return []string{"/bin/sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, g.dir}
}

// kills is how many processes the kernel has ended in it.
func (g *memoryGroup) kills() int64 {
	file := "memory.events"
	if g.v1 {
		file = "memory.oom_control"
	}
	text, _ := os.ReadFile(filepath.Join(g.dir, file)) // it is there as long as the group
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == "oom_kill" {
			n, _ := strconv.ParseInt(value, 10, 64) // the kernel writes numbers
			return n
		}
	}
	return 0
}

// peak is the most that was used, bytes; 0 if the system does not tell.
func (g *memoryGroup) peak() int64 {
	file := "memory.peak"
	if g.v1 {
		file = "memory.max_usage_in_bytes"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // the kernel writes numbers
	return n
}

// examineCgroup tells why no memory can be limited; empty if it can.
func examineCgroup() string {
	g, err := newMemoryGroup(memoryBytes)
	if err != nil {
		return "memory cannot be limited by a cgroup: " + err.Error()
	}
	g.remove()
	return ""
}

// limitedMemory starts the server in a cgroup.
func limitedMemory(s *scene, _ bool) (tool []string, err error) {
	if s.group, err = newMemoryGroup(memoryBytes); err != nil {
		return nil, err
	}
	return s.group.tool(), nil
}
