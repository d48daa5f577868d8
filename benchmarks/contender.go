package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/benchmarks/internal/weirserver"
)

// contender is an echo server that takes part. Adding one is a file with its
// start function and a line in the table below.
type contender struct {
	name  string
	about string // what it is, and how it is set up

	// start begins to serve on a free port of 127.0.0.1 and returns the address.
	// It serves until the process ends.
	start func() (address string, err error)

	// build, for one that is another program, makes it and returns how it is started.
	build func(ctx context.Context) (program string, args []string, err error)
}

// errNoFloor is what the floor's start returns where there is none.
var errNoFloor = &serving.Missing{Why: "no floor on this system: it is written for Linux's epoll"}

func contenders() []contender {
	ours := func(name string) func() (string, error) {
		return func() (string, error) { return weirserver.Echo(name) }
	}
	all := []contender{
		{name: "floor", about: "bare event loops, as many as GOMAXPROCS: the work without an engine, parking when idle", start: startFloor},
		{name: "floor-spin", about: "the floor, polling for 50 µs before it parks", start: startSpinningFloor},
		{name: "weir", about: "weir, mode inline, default options", start: ours("weir")},
		{name: "weir-spin", about: "weir, mode inline, WithSpin(50 µs)", start: ours("weir-spin")},
		{name: "weir-pool", about: "weir, mode pool, default options", start: ours("weir-pool")},
		{name: "std", about: "package net: a goroutine per connection, a buffer that grows from 4 to 64 KiB", start: startStd},
	}
	all = append(all, rivals()...)
	return append(all, contender{
		name: "asio", about: "C++, Asio: an io_context and a thread per processor, a buffer that grows from 4 to 64 KiB; g++ -O2", build: buildAsio,
	})
}

// find returns the contender of that name.
func find(name string) (contender, error) {
	var names []string
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	return contender{}, fmt.Errorf("unknown contender %q: want one of %s", name, strings.Join(names, ", "))
}

// isOurs says whether a contender is weir, in whatever mode, or from another commit.
func isOurs(name string) bool { return strings.HasPrefix(name, "weir") }

// isFloor says whether a contender is a bare loop, with or without spinning.
func isFloor(name string) bool { return strings.HasPrefix(name, "floor") }

// isRival says whether it is another engine for Go, or package net.
func isRival(name string) bool { return !isOurs(name) && !isFloor(name) && name != "asio" }
