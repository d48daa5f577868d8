package engine_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// A server for the tests that run out of memory.

// memoryPerSession is what the user of an engine keeps for each session, in bytes.
const memoryPerSession = 8 << 10

// memoryRole serves echo, tells its address, and then its counters for each line on its
// input. It ends with that. Args are its mode and, if it is not to be the default, its
// memory limit in bytes.
func memoryRole(args []string) int {
	if err := serveMemory(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveMemory(args []string) error {
	opts := []engine.Option{engine.WithLoops(2)}
	if args[0] == engine.Inline.String() {
		opts = append(opts, engine.WithMode(engine.Inline))
	}
	if len(args) > 1 {
		limit, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		opts = append(opts, engine.WithMemoryLimit(limit))
	}
	e, err := engine.New(opts...)
	if err != nil {
		return err
	}
	defer e.Close()
	l, err := e.Listen("tcp", "127.0.0.1:0", keeper{})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	out := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := out.Encode(e.Stats()); err != nil {
			return err
		}
	}
	return e.Close()
}

// keeper echoes, and keeps something for each session. Memory that was never written to
// does not count in the kernel's eyes.
type keeper struct{}

func (keeper) OnOpen(s *session.Session)                     { s.SetValue(bytes.Repeat([]byte{1}, memoryPerSession)) }
func (keeper) OnMessage(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }
