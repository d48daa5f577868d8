package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cgroup is one that the test has made, with a memory limit.
type cgroup struct {
	t   *testing.T
	dir string
	v1  bool
}

// limitedCgroup makes a cgroup that may use so many bytes, and no swap. It is removed at
// the end of the test; what is in it must have ended then.
func limitedCgroup(t *testing.T, bytes int64) *cgroup {
	t.Helper()
	g := &cgroup{t: t, v1: true}
	parent := "/sys/fs/cgroup/memory"
	if _, err := os.Stat(filepath.Join(parent, "memory.limit_in_bytes")); err != nil {
		g.v1, parent = false, "/sys/fs/cgroup"
		controllers, _ := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
		if !strings.Contains(string(controllers), "memory") {
			t.Skip("NOT TESTED: this system has no cgroup with a memory controller, in either version, where they usually are")
		}
		_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+memory"), 0) // set tells if it is off
	}
	g.dir = filepath.Join(parent, fmt.Sprintf("weir-test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Skipf("NOT TESTED: a cgroup takes root, and files that can be written: %v", err)
	}
	t.Cleanup(func() {
		until(t, "the cgroup is removed", func() bool {
			err := os.Remove(g.dir)
			return err == nil || errors.Is(err, os.ErrNotExist)
		})
	})
	if err := g.set(bytes); err != nil {
		t.Skipf("NOT TESTED: a cgroup's memory cannot be limited: %v", err)
	}
	return g
}

func (g *cgroup) set(bytes int64) error {
	limit := []byte(strconv.FormatInt(bytes, 10))
	if g.v1 {
		if err := os.WriteFile(filepath.Join(g.dir, "memory.limit_in_bytes"), limit, 0); err != nil {
			return err
		}
		_ = os.WriteFile(filepath.Join(g.dir, "memory.memsw.limit_in_bytes"), limit, 0) // without swap there is no such file
		return nil
	}
	if err := os.WriteFile(filepath.Join(g.dir, "memory.max"), limit, 0); err != nil {
		return err
	}
	_ = os.WriteFile(filepath.Join(g.dir, "memory.swap.max"), []byte("0"), 0) // likewise
	return nil
}

// tool starts a program in the cgroup, so that all that it uses counts there.
func (g *cgroup) tool() []string {
	return []string{"/bin/sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, g.dir}
}

// kills is how many processes the kernel has ended in the cgroup for its limit.
func (g *cgroup) kills() int64 {
	g.t.Helper()
	file := "memory.events"
	if g.v1 {
		file = "memory.oom_control"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	must(g.t, err)
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == "oom_kill" {
			n, err := strconv.ParseInt(value, 10, 64)
			must(g.t, err)
			return n
		}
	}
	g.t.Fatalf("%s has no oom_kill: %s", file, text)
	return 0
}

// peak is the most that was used, in bytes; 0 if the system does not tell.
func (g *cgroup) peak() int64 {
	file := "memory.peak"
	if g.v1 {
		file = "memory.max_usage_in_bytes"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}
