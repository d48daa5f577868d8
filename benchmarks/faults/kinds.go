//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weirnet/weir/engine"
)

// kind is a sort of server. Adding one is a file with its start function and a
// line in the table below.
type kind struct {
	name  string
	about string
	weir  bool // ours: it has to meet the requirements
	pool  bool // handlers run on workers of a pool

	start func(settings) (running, error)
}

// settings are a server's options.
type settings struct {
	// For all servers.
	network string        // tcp4 or unix
	address string        // to listen on
	greet   []byte        // what OnOpen sends, if anything
	drain   time.Duration // patience of a shutdown
	stall   time.Duration // patience of a write, where there is such a thing; 0: the default
	twice   bool          // shuts down more than once

	// For weir only.
	workers   int    // of the pool; 0: the default
	logger    string // empty: the default; block or panic: what it does
	unrelated bool   // a second engine, of mode inline, runs in the process

	keepAlive   time.Duration // TCP's; 0: the default
	userTimeout time.Duration
	readRate    int  // bytes a second that are read of each peer; 0: all
	careless    bool // nothing is done about memory
}

// running is a server that listens.
type running struct {
	address   string
	unrelated string         // address of the second engine, if there is one
	engine    *engine.Engine // of weir, for a swarm; else nil

	stats    func() any                  // the engine's own counters; nil if it has none
	shutdown func(context.Context) error // graceful; nil if it has no such thing
	ended    <-chan error                // told when a handler's stop has ended it; nil if it has no shutdown
}

func kinds() []kind {
	return []kind{
		{name: "weir", about: "weir, handlers on workers of a pool", weir: true, pool: true, start: startPool},
		{name: "weir-inline", about: "weir, handlers on the loops", weir: true, start: startInline},
		{name: "std", about: "package net, a goroutine per connection, accepting as net/http does", start: startStd},
		{name: "gnet", about: "gnet v2, a loop per processor", start: startGnet},
		{name: "nbio", about: "nbio, default options", start: startNbio},
		{name: "netpoll", about: "netpoll, default options", start: startNetpoll},
	}
}

// defaultServers are weir's modes.
func defaultServers() (names []string) {
	for _, k := range kinds() {
		if k.weir {
			names = append(names, k.name)
		}
	}
	return names
}

func findKind(name string) (kind, error) {
	var names []string
	for _, k := range kinds() {
		if k.name == name {
			return k, nil
		}
		names = append(names, k.name)
	}
	return kind{}, fmt.Errorf("unknown server %q: want one of %s", name, strings.Join(names, ", "))
}
