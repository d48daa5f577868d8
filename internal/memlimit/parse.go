package memlimit

import (
	"path"
	"strconv"
	"strings"
)

// The kernel's files as text: what cgroups(7) and proc_pid_mountinfo(5) describe. What
// does not read as it should is as good as not there.

// version is that of a cgroup hierarchy; none is 0.
type version int

// place is where a cgroup hierarchy has the process, or is mounted.
type place struct {
	version version
	path    string
}

// parseMembership reads /proc/self/cgroup: the process's place in each hierarchy that
// may bound memory.
//
//	4:memory:/a/b     version 1, whose memory controller is in a hierarchy of its own or of several
//	0::/a/b           version 2
func parseMembership(text string) (places []place) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // the path may have colons
		switch {
		case len(fields) < 3 || !strings.HasPrefix(fields[2], "/"):
		case fields[0] == "0" && fields[1] == "":
			places = append(places, place{2, fields[2]})
		case listed(fields[1], "memory"):
			places = append(places, place{1, fields[2]})
		}
	}
	return places
}

// mount is a cgroup hierarchy in the process's files.
type mount struct {
	version version
	root    string // the cgroup that is seen at point; the hierarchy's own is /
	point   string
}

// parseMounts reads /proc/self/mountinfo: where hierarchies are mounted that may bound
// memory.
//
//	35 31 0:32 /root /point rw shared:1 - cgroup  cgroup  rw,memory
//	                             any number of fields ↑ type    source  options
func parseMounts(text string) (mounts []mount) {
	for line := range strings.Lines(text) {
		before, after, found := strings.Cut(line, " - ")
		about, kind := strings.Fields(before), strings.Fields(after)
		if !found || len(about) < 5 || len(kind) < 3 {
			continue
		}
		m := mount{root: unescape(about[3]), point: unescape(about[4])}
		switch {
		case kind[0] == "cgroup2":
			m.version = 2
		case kind[0] == "cgroup" && listed(kind[2], "memory"):
			m.version = 1
		default:
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape undoes how mountinfo writes blanks and backslashes: as three octal digits.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// dirs are the directories of a cgroup and its ancestors, as far as they are seen, the
// cgroup's own first. One that the mount does not show, as in a container with the
// host's paths, is taken for the one at the mount point.
func (m mount) dirs(cgroup string) (dirs []string) {
	below := cgroup
	if m.root != "/" {
		var within bool
		if below, within = strings.CutPrefix(cgroup, m.root); !within || below != "" && below[0] != '/' {
			below = ""
		}
	}
	if strings.Contains(below+"/", "/../") { // outside of the cgroup namespace
		below = ""
	}
	for below = path.Clean("/" + below); below != "/"; below = path.Dir(below) {
		dirs = append(dirs, m.point+below)
	}
	return append(dirs, m.point)
}

// unlimited is from where on a limit is none: version 1 writes the largest multiple of a
// page for that.
const unlimited = 1 << 62

// parseLimit reads a file with one limit in bytes; 0 if it sets none.
func parseLimit(text string) int64 {
	limit, ok := parseBytes(text)
	if !ok || limit <= 0 || limit >= unlimited {
		return 0 // version 2 says max
	}
	return limit
}

// parseBytes reads a file with one number.
func parseBytes(text string) (bytes int64, ok bool) {
	bytes, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return bytes, err == nil
}

// parseStat returns the sum of some values of a memory.stat, a name and a value in each
// line.
func parseStat(text string, names ...string) (sum int64) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, " ")
		for _, wanted := range names {
			if name == wanted {
				n, _ := parseBytes(value)
				sum += n
			}
		}
	}
	return sum
}

// listed tells whether a list with commas has a word.
func listed(list, word string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == word {
			return true
		}
	}
	return false
}
