// Command benchmarks measures weir as an echo server, side by side with a floor:
// a bare event loop that does the same work and nothing else. It does so with
// servers that send one message to many connections, too. README.md says what each
// number means.
//
// Every contender serves in a process of its own, and so does the load, which
// checks every byte. The same program is all of these processes:
//
//	benchmarks            starts the others, collects and reports (echo.go, idle.go, fanout.go, rpc.go)
//	├─ benchmarks serve   one server, told what to report on stdin (serve.go)
//	└─ benchmarks load    one load at a time (package internal/load)
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

	"github.com/weirnet/weir/internal/load"
)

// The hidden commands, each run by a child process.
const (
	serveCommand = "serve"
	loadCommand  = "load"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program; it returns the exit code.
func run(args []string, in io.Reader, out, log io.Writer) int {
	command, rest := "echo", args
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, rest = args[0], args[1:]
	}
	switch command {
	case serveCommand:
		return serve(rest, in, out)
	case loadCommand:
		return load.Main(rest, in, out)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := measure(ctx, command, rest, out, log)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(log, "benchmarks: interrupted; what was measured until then is above")
		return 130
	default:
		fmt.Fprintln(log, "benchmarks:", err)
		return 1
	}
}

func measure(ctx context.Context, command string, args []string, out, log io.Writer) error {
	switch command {
	case "echo":
		return echoCommand(ctx, echoDefaults(), args, out, log)
	case "spin":
		return echoCommand(ctx, spinDefaults(), args, out, log)
	case "churn":
		return churnCommand(ctx, args, out, log)
	case "idle":
		return idleCommand(ctx, args, out, log)
	case "fanout":
		return fanoutCommand(ctx, args, out, log)
	case "rpc":
		return rpcCommand(ctx, args, out, log)
	case "suite":
		return suiteCommand(ctx, args, out, log)
	case "compare":
		return compareCommand(ctx, args, out, log)
	case "report":
		return reportCommand(args, out, log)
	case "baseline":
		return baselineCommand(args, out, log)
	case "micro":
		return microCommand(args, out, log)
	default:
		return fmt.Errorf("unknown command %q: want suite, compare, report, baseline, micro, echo, churn, idle, spin, fanout or rpc", command)
	}
}
