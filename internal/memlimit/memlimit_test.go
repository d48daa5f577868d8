package memlimit

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestCgroupFiles(t *testing.T) {
	for text, want := range map[string]int64{
		"max\n":                 0, // version 2, no limit
		"536870912\n":           512 << 20,
		"1048576":               1 << 20,
		"9223372036854771712\n": 9223372036854771712, // version 1, no limit: the machine's memory is less
		"0\n":                   0,
		"-1\n":                  0,
		"":                      0,
		"12 34":                 0,
		"99999999999999999999":  0,
	} {
		file := filepath.Join(t.TempDir(), "memory.max")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := cgroup(file); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := cgroup(filepath.Join(t.TempDir(), "none")); got != 0 {
		t.Errorf("no file: %d, want 0", got)
	}
}

func TestSmallest(t *testing.T) {
	for _, c := range []struct {
		limits []int64
		want   int64
	}{
		{nil, 0}, {[]int64{0, 0}, 0}, {[]int64{5, 0, 3}, 3}, {[]int64{0, 7}, 7}, {[]int64{-1, 4}, 4},
	} {
		if got := smallest(c.limits...); got != c.want {
			t.Errorf("smallest(%v) = %d, want %d", c.limits, got, c.want)
		}
	}
}

func TestMemoryLimitOfTheRuntimeComesFirst(t *testing.T) {
	before := debug.SetMemoryLimit(12345 << 20)
	defer debug.SetMemoryLimit(before)
	if got := Bytes(); got != 12345<<20 {
		t.Errorf("%d bytes, want the runtime's limit", got)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	got := Bytes()
	if got < 0 || runtime.GOOS == "linux" && got == 0 {
		t.Errorf("%d bytes without a limit", got)
	}
	if all := machine(); all > 0 && got > all {
		t.Errorf("%d bytes, the machine has %d", got, all)
	}
}
