// Command chat is a chat server and its client for the terminal: rooms, the last
// messages for whoever comes, who is there, and clients that come back by themselves. A
// server with -dir may be killed and started again, and nothing is lost. Without -dir it
// forgets what was said before its end; of what is said afterwards nobody misses anything.
// It is the example to copy from. Read wire.go (what goes over the wire), room.go and
// server.go, then client.go.
//
//	chat serve                    serves                        server.go, room.go, store.go
//	chat join -name ann           reads lines and shows others  client.go, terminal.go
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

const about = `chat is a chat server, and its client for the terminal.

  chat serve [flags]             serve until Ctrl-C
  chat join -name NAME [flags]   take part: every line is a message; /who, /quit

Flags of serve:
  -addr HOST:PORT   where to listen (default 127.0.0.1:7200)
  -dir DIRECTORY    where rooms are kept; without it they are forgotten with the server
  -history N        how many messages a room remembers, 1 to 1000 (default 200)

Flags of join:
  -addr HOST:PORT   the server (default 127.0.0.1:7200)
  -room NAME        default lobby
  -name NAME        who you are

Names have 1 to 32 letters, digits and the signs - and _.

Two terminals and a server are enough:
  chat serve -dir rooms
  chat join -name ann
  chat join -name bob
Kill the server, go on typing, start it again: nothing is lost. Without -dir, what was
said before is forgotten, and nothing else.
`

// historyMax is how many messages a room remembers at most.
const historyMax = 1000

// usageError is a bad flag or value.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal ends the process
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "chat: %v; see chat help\n", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run does what args say, until ctx ends.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	command := "help"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("chat "+command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:7200", "")
	switch command {
	case "serve":
		dir, history := flags.String("dir", "", ""), flags.Int("history", 200, "")
		if err := parse(flags, args); err != nil {
			return err
		}
		if *history < 1 || *history > historyMax {
			return usageError{fmt.Errorf("-history must be from 1 to %d, not %d", historyMax, *history)}
		}
		return serve(ctx, *addr, store{dir: *dir, keep: *history}, out)
	case "join":
		room, name := flags.String("room", "lobby", ""), flags.String("name", "", "")
		if err := parse(flags, args); err != nil {
			return err
		}
		for option, value := range map[string]string{"name": *name, "room": *room} {
			if !validName(value) {
				return usageError{fmt.Errorf("-%s %q: %w", option, value, errName)}
			}
		}
		return join(ctx, *addr, *room, *name, in, out)
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(out, about)
		return err
	}
	return usageError{fmt.Errorf("unknown command %q", command)}
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	}
	return nil
}
