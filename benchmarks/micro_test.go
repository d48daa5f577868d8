package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestMicroTableHasMedians(t *testing.T) {
	measured, err := readMicro(strings.NewReader(`goos: linux
BenchmarkSendShared            	   42728	       514.8 ns/op	       0 B/op
BenchmarkSendShared            	   42728	       314.8 ns/op	       0 B/op
BenchmarkSendShared            	   42728	       2000 ns/op	       0 B/op
BenchmarkSendShared-2          	  109291	      34.29 ns/op	       0 B/op
BenchmarkMailboxPosters-4      	  109291	      3.42 ns/op	   0.0012 wakes/op
PASS
ok  	github.com/weirnet/weir/engine	3.9s
`))
	if err != nil {
		t.Fatal(err)
	}
	rows := microTable(measured)
	for _, want := range [][]string{
		{"Send to one session from every processor", "515 ns (315 ns–2.00 µs)", "34 ns", "–"},
		{"post to a loop from every processor", "–", "–", "3.4 ns"},
		{"wake-ups for each of these posts", "–", "–", "0.0012"},
	} {
		if !slices.ContainsFunc(rows, func(row []string) bool { return slices.Equal(row, want) }) {
			t.Errorf("no %q in %q", want, rows)
		}
	}
	if _, err := readMicro(strings.NewReader("BenchmarkX 1 x ns/op")); err == nil {
		t.Error("what is no number was taken")
	}
	if err := microCommand(nil, io.Discard, io.Discard); err == nil {
		t.Error("no file was taken")
	}
}
