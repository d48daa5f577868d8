//go:build linux

// Command faults injects faults into echo servers and shows what they do: weir in
// its modes, package net, and other engines. The rows are in rows.go; docs/trust.md
// shows a result.
//
// Server, healthy clients and misbehaving clients are processes of their own, all
// of this program:
//
//	faults            injects, watches, judges and reports (scene.go, judge.go, report.go)
//	├─ faults serve   one echo server that also obeys commands (serve.go, command.go)
//	├─ faults probe   healthy clients that measure (probe.go)
//	├─ faults pump    a client to be stopped (slow.go)
//	└─ faults host    who the server's own clients connect to (host.go, swarm.go)
//
// The exit code is 1 if weir did not do what a row requires, 2 for a bad flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The hidden commands, each run by a child process.
const (
	serveRole = "serve"
	probeRole = "probe"
	pumpRole  = "pump"
	hostRole  = "host"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program; it returns the exit code.
func run(args []string, in io.Reader, out, log io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case serveRole:
			return serve(args[1:], in, out)
		case probeRole:
			return probeMain(args[1:], in, out)
		case pumpRole:
			return pump(args[1:], in, out)
		case hostRole:
			return hostMain(args[1:], in, out)
		}
	}
	o, err := parseOptions(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(log, "faults:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	met, err := harness(ctx, o, out, log)
	if err != nil {
		fmt.Fprintln(log, "faults:", err)
		return 1
	}
	if !met {
		return 1
	}
	return 0
}
