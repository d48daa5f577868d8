// Command echo is a server that sends back what it receives, the smallest whole
// program on weir; or, with -reply all, to everybody. Read echo.go and hub.go (the
// services), then serve.go (the server).
//
//	echo                   serves                                  serve.go, debug.go
//	echo demo              shows what the engine does, in numbers  demo.go
//	echo demo -fanout N    the same of one message to many         demo_fanout.go
//	echo doctor            looks at the system's limits            doctor.go
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/weirnet/weir/internal/load"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2   // a bad flag or value
	exitInterrupted = 130 // what a shell reports for Ctrl-C
)

// loadCommand makes the program a load process; the demo starts itself with it.
const loadCommand = "load"

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == loadCommand {
		os.Exit(load.Main(args[1:], os.Stdin, os.Stdout))
	}
	os.Exit(exitCode(run(untilSignal(), args, os.Stdout), os.Stderr))
}

// untilSignal returns a context that ends with Ctrl-C or SIGTERM. The next signal
// then ends the process at once.
func untilSignal() context.Context {
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	tryPidfd()
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(signalled, func() {
		stop() // first: whoever sees ctx end may say so
		cancel()
	})
	return ctx
}

// tryPidfd has package os find out now whether the system has descriptors of processes,
// which it does once, before it first starts or finds one. On Linux it makes a child for
// that, which shares our memory and thread, and which signals to our process group reach:
// unlike for other children, Go 1.26 does not block them. If that child is ended by one, as
// it is when nobody is told of the signal any more, it leaves the thread in the middle of
// the handler, and the process dies of "morestack on gsignal". While somebody is told,
// the child's handler returns, and nothing is lost.
func tryPidfd() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Release() // it was for the question only
	}
}

// run does what args say, until ctx ends.
func run(ctx context.Context, args []string, out *os.File) error {
	command := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	switch command {
	case "":
		return serveCommand(ctx, args, out)
	case "demo":
		return demoCommand(ctx, args, out)
	case "doctor":
		return doctorCommand(args, out)
	case "help":
		return serveCommand(ctx, []string{"-help"}, out)
	}
	return usageError{fmt.Errorf("unknown command %q; echo --help lists them", command)}
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errInterrupted: Ctrl-C ended what was not meant to end before it was done.
var errInterrupted = errors.New("interrupted")

// exitCode says what went wrong, in one line, and returns the exit code.
func exitCode(err error, to io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(to, "echo:", strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	return exitFailed
}
