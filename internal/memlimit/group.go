package memlimit

import (
	"os"
	"path/filepath"
)

// Group is the cgroup, of the process's own and its ancestors, whose memory limit is the
// least. The kernel ends processes in it that use more.
type Group struct {
	Limit int64  // bytes; 0: there is none
	Dir   string // where its files are

	version version
}

// files are what the versions call what they tell.
var files = map[version]struct {
	limit, use string
	cache      []string // of memory.stat: what the kernel gives up before it ends a process
}{
	1: {"memory.limit_in_bytes", "memory.usage_in_bytes", []string{"total_inactive_file", "total_active_file"}},
	2: {"memory.max", "memory.current", []string{"inactive_file", "active_file"}},
}

// statFile has the details, in both versions.
const statFile = "memory.stat"

// findGroup finds the process's cgroup in the files below root. Where a kernel has both
// versions, only one of them has memory's files; both are looked at.
func findGroup(root string) (least Group) {
	mounts := parseMounts(read(root, "proc/self/mountinfo"))
	if len(mounts) == 0 {
		mounts = []mount{{1, "/", "/sys/fs/cgroup/memory"}, {2, "/", "/sys/fs/cgroup"}} // as systemd has them
	}
	places := parseMembership(read(root, "proc/self/cgroup"))
	for _, m := range mounts {
		cgroup := m.root
		for _, p := range places {
			if p.version == m.version {
				cgroup = p.path
			}
		}
		for _, g := range m.groups(root, cgroup) {
			if g.Limit > 0 && (least.Limit == 0 || g.Limit < least.Limit) {
				least = g
			}
		}
	}
	return least
}

// groups are a cgroup and those of its ancestors whose limits bound it, too.
func (m mount) groups(root, cgroup string) (groups []Group) {
	var stat string
	last := Group{version: m.version}
	for i, dir := range m.dirs(cgroup) {
		last.Dir = filepath.Join(root, dir)
		if i == 0 {
			stat = read(last.Dir, statFile)
		} else if m.version == 1 && read(last.Dir, "memory.use_hierarchy") == "0\n" {
			break // from here on each counts only its own processes
		}
		last.Limit = parseLimit(read(last.Dir, files[m.version].limit))
		groups = append(groups, last)
	}
	// Version 1 also tells of ancestors that a container does not see.
	if last.Limit = parseStat(stat, "hierarchical_memory_limit"); last.Limit < unlimited {
		groups = append(groups, last)
	}
	return groups
}

// Use returns how many bytes of its limit the group uses and could not do without: all
// but the cache of files, which the kernel gives up first. Memory of the kernel's that
// counts against the limit is in it: sockets, above all. False: it cannot be read.
func (g Group) Use() (bytes int64, ok bool) {
	bytes, ok = parseBytes(read(g.Dir, files[g.version].use))
	if !ok {
		return 0, false
	}
	return max(bytes-parseStat(read(g.Dir, statFile), files[g.version].cache...), 0), true
}

// read returns a file's text; empty if it cannot be read.
func read(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return string(text)
}
