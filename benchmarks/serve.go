package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/weirnet/weir/benchmarks/internal/serving"
)

// serve is the body of a server process, which args name.
func serve(args []string, in io.Reader, out io.Writer) int {
	return serving.Serve(func() (string, error) { return startNamed(args) }, in, out)
}

// startNamed starts an echo server (NAME), a hub (fanout NAME SIZE), or a server that
// answers calls (rpc NAME).
func startNamed(args []string) (address string, err error) {
	switch {
	case len(args) == 1:
		c, err := find(args[0])
		if err != nil {
			return "", err
		}
		if c.start == nil {
			return "", fmt.Errorf("serve: %s is a program of its own", c.name)
		}
		return c.start()
	case len(args) == 3 && args[0] == fanoutRequest:
		h, err := findHub(args[1])
		if err != nil {
			return "", err
		}
		size, err := strconv.Atoi(args[2])
		if err != nil || size < 1 {
			return "", fmt.Errorf("serve: %q is not a size of messages", args[2])
		}
		return h.start(size)
	case len(args) == 2 && args[0] == rpcRequest:
		c, err := findRPC(args[1])
		if err != nil {
			return "", err
		}
		return c.start()
	default:
		return "", fmt.Errorf("serve: want the name of a contender, not %q", args)
	}
}
