package memlimit

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

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

// The order of the limits: the runtime's, else the least of cgroup and machine.
func TestWhichLimitCounts(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   int64
	}{
		{Limits{}, 0},
		{Limits{Machine: 9}, 9},
		{Limits{Machine: 9, Group: Group{Limit: 5}}, 5},
		{Limits{Machine: 9, Group: Group{Limit: 5}, Runtime: 7}, 7},
		{Limits{Group: Group{Limit: 5}}, 5},
	} {
		if got := c.limits.Bytes(); got != c.want {
			t.Errorf("of %+v counts %d, want %d", c.limits, got, c.want)
		}
	}
}

func TestMemoryLimitOfTheRuntimeComesFirst(t *testing.T) {
	before := debug.SetMemoryLimit(12345 << 20)
	defer debug.SetMemoryLimit(before)
	if got := Bytes(); got != 12345<<20 {
		t.Errorf("%d bytes, want the runtime's limit", got)
	}
	if got := Find(); got.Runtime != 12345<<20 {
		t.Errorf("found %+v, want the runtime's limit", got)
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
