package main

import (
	"errors"
	"flag"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDefaultCells(t *testing.T) {
	cells := defaultCells()
	if len(cells) != 13 || cells[0].String() != "10x64x1" || cells[12].String() != "10x65536x1" {
		t.Errorf("got %v", cells)
	}
}

func TestSelectCells(t *testing.T) {
	tests := map[string]string{
		"10x64x1":           "10x64x1",
		"7x100x3":           "7x100x3",
		"1000x*x16":         "1000x64x16 1000x1024x16",
		"10x64x1,10x1024x*": "10x64x1 10x1024x1 10x1024x16",
		"5x64@70%,5x64@900": "5x64@70% 5x64@900",
	}
	for patterns, want := range tests {
		cells, err := selectCells("-cells", defaultCells(), patterns, parseCell)
		var got []string
		for _, c := range cells {
			got = append(got, c.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", patterns, got, err, want)
		}
	}
	for _, patterns := range []string{"", "10", "10x64", "10x64x1x2", "0x1x1", "x*y", "1x-1x1", "10x64x1 ", "5x64@0", "5x64@0%", "5x64@100%", "5x64@70% ", "5x64@70" + "x1"} {
		if cells, err := selectCells("-cells", defaultCells(), patterns, parseCell); err == nil {
			t.Errorf("%q was taken for %v", patterns, cells)
		}
	}
}

func TestOptionsFromFlags(t *testing.T) {
	args := "-cells 1x2x3 -contenders std,floor -rounds 4 -round-duration 50ms -warm-up 0s -json x"
	got, err := echoDefaults().parse(strings.Fields(args), io.Discard)
	want := options{
		cells:       []cell{{Connections: 1, Size: 2, Depth: 3}},
		contenders:  []string{"std", "floor"},
		rounds:      4,
		round:       50 * time.Millisecond,
		resultsPath: "x",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := echoDefaults().parse(nil, io.Discard); err != nil || !reflect.DeepEqual(got, echoDefaults()) {
		t.Errorf("without flags: %+v, %v", got, err)
	}
}

func TestOptionsRefuseBadValues(t *testing.T) {
	for _, args := range []string{
		"-rounds 0", "-round-duration 0s", "-round-duration x", "-warm-up -1s", "-cells y",
		"-contenders nobody", "-contenders std,std", "-contenders ,", "more", "-cells 5x64@70%", "-cells 5x64@70%,5x64x1",
	} {
		if _, err := echoDefaults().parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
	for _, args := range []string{"-from 0", "-steps 0", "-to 2000", "-contenders nobody", "more"} {
		if _, err := parseIdle(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("idle %s was taken", args)
		}
	}
}

func TestIdleCountsReachBothEnds(t *testing.T) {
	o, err := parseIdle(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{2000, 6000, 10000, 14000, 18000}; !reflect.DeepEqual(o.counts(), want) {
		t.Errorf("got %v", o.counts())
	}
}

func TestHelpNamesContendersAndCells(t *testing.T) {
	var text strings.Builder
	if _, err := echoDefaults().parse([]string{"-h"}, &text); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"floor", "std", "1000x1024x16", "-rounds", "idle", "spin"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
}
