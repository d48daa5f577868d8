package main

import (
	"errors"
	"fmt"
	"strings"
)

// contender is an echo server that takes part. Adding one is a file with its
// start function and a line in the table below.
type contender struct {
	name  string
	about string

	// start begins to serve on a free port of 127.0.0.1 and returns the address.
	// It serves until the process ends.
	start func() (address string, err error)
}

// errNoFloor is what the floor's start returns where there is none.
var errNoFloor = errors.New("no floor on this system: it is written for Linux's epoll")

func contenders() []contender {
	return append([]contender{
		{"floor", "bare event loop: the work without an engine, parking when idle", startFloor},
		{"floor-spin", "the floor, polling for 50 µs before it parks", startSpinningFloor},
		{"weir", "this module's engine, mode inline, default options", startWeir},
		{"weir-spin", "weir, polling for 50 µs before it parks", startSpinningWeir},
		{"weir-pool", "weir, mode pool, default options", startPooledWeir},
		{"std", "package net, a goroutine per connection", startStd},
	}, rivals()...)
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
