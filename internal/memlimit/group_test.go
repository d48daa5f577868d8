package memlimit

import (
	"os"
	"path/filepath"
	"testing"
)

const mib = 1 << 20

// trees are file trees under testdata as different systems have them.
var trees = []struct {
	name  string
	limit int64  // MiB
	dir   string // whose limit it is, and
	use   int64  // what it uses without the cache of files, MiB; -1: not told
}{
	{"v1-nested", 256, "memory/a/b", 160},
	{"v1-no-hierarchy", 64, "memory/a/b", -1},
	{"v1-unlimited", 0, "", 0},
	{"v1-container", 300, "memory", 4},
	{"v1-container-below", 200, "memory/inner", -1},
	{"v1-unseen-ancestor", 150, "memory", 4},
	{"v1-blank in path", 70, "../the cgroup", -1},
	{"v2-nested", 128, "system.slice/weir.service", 75},
	{"v2-ancestor", 96, "kubepods/pod1", 0}, // the kernel's numbers are not of one moment
	{"v2-namespace", 77, "", 7},
	{"v2-outside", 88, "", -1},
	{"v2-unlimited", 0, "", 0},
	{"hybrid", 64, "memory/job", -1},
	{"no-mountinfo", 33, "a", -1},
	{"nothing", 0, "", 0},
	{"a root that is not there", 0, "", 0},
}

func TestGroups(t *testing.T) {
	for _, c := range trees {
		t.Run(c.name, func(t *testing.T) {
			root := filepath.Join("testdata", c.name)
			got := findGroup(root)
			if got.Limit != c.limit*mib {
				t.Fatalf("a limit of %d MiB, want %d", got.Limit/mib, c.limit)
			}
			if c.limit == 0 {
				if got != (Group{}) {
					t.Errorf("found %+v without a limit", got)
				}
				return
			}
			if want := filepath.Join(root, "sys/fs/cgroup", c.dir); got.Dir != want {
				t.Errorf("it is that of %s, want %s", got.Dir, want)
			}
			use, ok := got.Use()
			if ok != (c.use >= 0) || ok && use != c.use*mib {
				t.Errorf("it uses %d bytes, %v; want %d MiB", use, ok, c.use)
			}
		})
	}
}

// Each tree is in the table.
func TestEveryTreeIsLookedAt(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range trees {
		known[c.name] = true
	}
	for _, entry := range entries {
		if !known[entry.Name()] {
			t.Errorf("nobody looks at testdata/%s", entry.Name())
		}
	}
}
