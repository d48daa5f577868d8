package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: a message that there was no room for, or for half of it only, spoils no
// other.
func TestFullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	st := store{dir: t.TempDir(), keep: 10}
	_, j, err := st.open("r")
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	path := filepath.Join(st.dir, "r.jsonl")
	say := func(n int) error {
		return j.add(event{Is: "said", Seq: n, From: "ann", Key: "k", N: n, Text: strings.Repeat("x", 40)})
	}
	if err := say(1); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 40} {
		small := limit
		small.Cur = uint64(len(before) + room)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
			t.Fatal(err)
		}
		refused := say(2)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		if refused == nil {
			t.Fatalf("%d bytes were room enough", room)
		}
		if after, err := os.ReadFile(path); err != nil || !slices.Equal(after, before) {
			t.Errorf("%v, the file is now\n%s", err, after)
		}
	}
	if err := say(2); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if said := st.parse(after).said; len(said) != 2 {
		t.Errorf("%d messages are remembered, want 2:\n%s", len(said), after)
	}
}
