package memlimit

import (
	"reflect"
	"strings"
	"testing"
)

func TestLimitFiles(t *testing.T) {
	for text, want := range map[string]int64{
		"max\n":                 0, // version 2, no limit
		"536870912\n":           512 << 20,
		"1048576":               1 << 20,
		"9223372036854771712\n": 0, // version 1, no limit, with pages of 4 KiB
		"9223372036854710272\n": 0, // of 64 KiB
		"0\n":                   0,
		"-1\n":                  0,
		"":                      0,
		"12 34":                 0,
		"99999999999999999999":  0,
	} {
		if got := parseLimit(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestMembership(t *testing.T) {
	for text, want := range map[string][]place{
		"":                                    nil,
		"0::/\n":                              {{2, "/"}},
		"0::/a/b (deleted)\n":                 {{2, "/a/b (deleted)"}},
		"4:memory:/a:b/c\n0::/d\n":            {{1, "/a:b/c"}, {2, "/d"}},
		"7:cpu,memory:/both\n":                {{1, "/both"}},
		"7:cpu,memory2:/x\n8:name=memory:/\n": nil,
		"4:memory:\n4:memory\nrubbish\n::\n":  nil,
	} {
		if got := parseMembership(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestMounts(t *testing.T) {
	for text, want := range map[string][]mount{
		"": nil,
		"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n":           {{2, "/", "/sys/fs/cgroup"}},
		"35 31 0:32 /x /m rw shared:1 master:2 - cgroup cgroup rw,memory": {{1, "/x", "/m"}},
		"35 31 0:32 / /m rw - cgroup cgroup rw,cpu\n":                     nil,
		"35 31 0:32 / /m rw - ext4 /dev/memory rw,memory\n":               nil,
		`35 31 0:32 /a\134b /m\040\011\012n rw - cgroup2 none rw`:         {{2, `/a\b`, "/m \t\nn"}},
		`35 31 0:32 / /m\9\04 rw - cgroup2 none rw`:                       {{2, "/", `/m\9\04`}},
		"35 31 0:32 / - cgroup2 none rw\n":                                nil,
		"35 31 0:32 / /m rw - cgroup2\n":                                  nil,
		"35 31 0:32 / /m rw cgroup2 none rw\n":                            nil,
	} {
		if got := parseMounts(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestDirs(t *testing.T) {
	for _, c := range []struct {
		root, cgroup string
		want         string
	}{
		{"/", "/", "/m"},
		{"/", "/a/b", "/m/a/b /m/a /m"},
		{"/a", "/a", "/m"},
		{"/a", "/a/b", "/m/b /m"},
		{"/a", "/ab", "/m"},  // another cgroup, which the mount does not show
		{"/a", "/b/c", "/m"}, // likewise
		{"/", "/../b", "/m"}, // outside of the namespace
		{"/", "/a/..", "/m"}, // likewise
		{"/", "/a..b", "/m/a..b /m"},
	} {
		got := mount{1, c.root, "/m"}.dirs(c.cgroup)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s of %s: %v, want %s", c.cgroup, c.root, got, c.want)
		}
	}
}

func TestStat(t *testing.T) {
	const text = "cache 5\ntotal_cache 7\nbroken\nactive_file 11\nactive_file_x 13\nodd x\n"
	for _, c := range []struct {
		names []string
		want  int64
	}{
		{[]string{"cache"}, 5}, {[]string{"cache", "active_file"}, 16}, {[]string{"none"}, 0},
		{[]string{"broken"}, 0}, {[]string{"odd"}, 0}, {nil, 0},
	} {
		if got := parseStat(text, c.names...); got != c.want {
			t.Errorf("%v: %d, want %d", c.names, got, c.want)
		}
	}
}

// FuzzParse looks for text that parsing does not survive, or makes a place of that is
// none.
func FuzzParse(f *testing.F) {
	f.Add("4:memory:/a\n0::/b\n", "35 31 0:32 /a /m\\040x rw - cgroup cgroup rw,memory\n")
	f.Add("0::/../x", "1 2 3:4 / / - cgroup2 a b")
	f.Fuzz(func(t *testing.T, membership, mounts string) {
		for _, m := range parseMounts(mounts) {
			for _, p := range parseMembership(membership) {
				dirs := m.dirs(p.path)
				if len(dirs) == 0 || dirs[len(dirs)-1] != m.point {
					t.Errorf("%q of %+v: %q does not end at the mount point", p.path, m, dirs)
				}
				for _, dir := range dirs {
					if !strings.HasPrefix(dir, m.point) || strings.Contains(dir[len(m.point):]+"/", "/../") {
						t.Errorf("%q of %+v: %q is outside of the mount point", p.path, m, dir)
					}
				}
			}
		}
		parseLimit(mounts)
		parseStat(mounts, membership)
	})
}
