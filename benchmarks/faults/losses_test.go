//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestLosses(t *testing.T) {
	before := parseLosses(strings.NewReader("TcpExt: A ListenDrops TCPRcvQDrop\nTcpExt: 7 1 2\nIpExt: TCPBacklogDrop\nIpExt: 3\n"))
	if want := (losses{2, 3, 1}); before != want {
		t.Errorf("%v, want %v", before, want)
	}
	after := before
	if got := after.since(before); got != "" {
		t.Errorf("%q since nothing was lost", got)
	}
	after[0] += 5
	after[2]++
	if got, want := after.since(before), "TCPRcvQDrop 5, ListenDrops 1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, odd := range []string{"", "TcpExt: TCPRcvQDrop", "TcpExt: TCPRcvQDrop\nTcpExt:", "TcpExt: TCPRcvQDrop\nTcpExt: x"} {
		if got := parseLosses(strings.NewReader(odd)); got != (losses{}) {
			t.Errorf("%v in %q", got, odd)
		}
	}
}
