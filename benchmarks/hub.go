package main

import (
	"fmt"
	"strings"

	"github.com/weirnet/weir/benchmarks/internal/weirserver"
)

// hub is a server that takes part in the fan-out: it sends every message that it
// gets to every connection, the sender's own included. Adding one is a file with
// its start function and a line in the table below.
type hub struct {
	name  string
	about string

	// start begins to serve on a free port of 127.0.0.1 and returns the address.
	// Messages have that many bytes and must reach every connection whole, those of
	// one sender in order. It serves until the process ends.
	start func(size int) (address string, err error)
}

// hubBacklog is what a hub may hold for one connection that does not read, in
// bytes, where it is told so at all. Whoever exceeds it is closed. A hub must take
// hubQueue messages for everybody.
const (
	hubBacklog = 4 << 20
	hubQueue   = 256
)

// together is the unit of a hub that passes on whatever a read has brought in whole
// messages; others do it one by one, in units of the size of a message, as a server
// does that looks at them.
const together = 1 << 30

func hubs() []hub {
	all := append([]hub{
		{"floor", "bare event loops: what a turn has read goes to each connection in one write; 4 MiB backlog, then close", startFloorHub},
		{"weir", "weir, mode pool, one group that everybody joins; Group.Send of each message", startOurs("weir")},
		{"weir-inline", "weir, mode inline, one group that everybody joins; Group.Send of each message", startOurs("weir-inline")},
		{"std", "package net: per connection two goroutines, a channel of 256 messages, net.Buffers; a full channel closes", startStdHub},
		{"std-batch", "package net, as std, but all messages that a read has brought go through the channel as one", startStdBatchHub},
	}, policyHubs()...)
	return append(all, rivalHubs()...)
}

// policyHubs are weir with each policy for slow members, for -stuck.
func policyHubs() []hub {
	return []hub{
		{"weir-drop-oldest", "as weir; who is behind by 64 KiB loses the oldest messages", startOurs("weir-drop-oldest")},
		{"weir-drop-newest", "as weir; who is behind by 64 KiB loses the newest messages", startOurs("weir-drop-newest")},
		{"weir-conflate", "as weir, messages about 16 values in turn; who is behind gets the last of each", startOurs("weir-conflate")},
		{"weir-close", "as weir; who is behind by 64 KiB is closed", startOurs("weir-close")},
	}
}

func startOurs(name string) func(size int) (string, error) {
	return func(size int) (string, error) { return weirserver.Hub(name, size) }
}

// findHub returns the hub of that name.
func findHub(name string) (hub, error) {
	var names []string
	for _, h := range hubs() {
		if h.name == name {
			return h, nil
		}
		names = append(names, h.name)
	}
	return hub{}, fmt.Errorf("unknown contender %q: want one of %s", name, strings.Join(names, ", "))
}
