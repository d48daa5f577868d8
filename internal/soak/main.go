//go:build linux

// Command soak keeps servers busy for a long time, and looks whether they stay as they
// are: that nothing grows, nothing is lost, and the books balance. docs/soak.md tells
// what it does and how to read it.
//
// All processes are of this program:
//
//	soak             plays, looks, judges and reports (soak.go, judge.go, report.go)
//	├─ soak serve    a server (serve.go): one in mode pool and one in mode inline that
//	│                live as long as the soak, one of package net to compare with, and
//	│                one that is killed and shut down all the time
//	└─ soak clients  weir's clients of the latter, who come back (clients.go)
//
// The exit code is 1 if the soak fails, 2 for a bad flag.
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
	serveRole   = "serve"
	clientsRole = "clients"
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
		case clientsRole:
			return clientsMain(args[1:], in, out)
		}
	}
	s, err := parseSettings(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(log, "soak:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verdict, err := soak(ctx, s, out)
	if err != nil {
		fmt.Fprintln(log, "soak:", err)
		return 1
	}
	if !verdict.passed() {
		return 1
	}
	return 0
}
