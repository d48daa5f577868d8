// Command weirserve is a server process of the benchmarks with nothing but weir in it.
// "benchmarks compare" builds it twice, with the weir of this tree and with that of
// another commit, and starts it with
//
//	weirserve NAME          an echo server
//	weirserve fanout NAME SIZE   a hub
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/weirnet/weir/benchmarks/internal/serving"
	"github.com/weirnet/weir/benchmarks/internal/weirserver"
)

func main() {
	os.Exit(serving.Serve(func() (string, error) { return start(os.Args[1:]) }, os.Stdin, os.Stdout))
}

func start(args []string) (address string, err error) {
	switch {
	case len(args) == 1:
		return weirserver.Echo(args[0])
	case len(args) == 3 && args[0] == "fanout":
		size, err := strconv.Atoi(args[2])
		if err != nil || size < 1 {
			return "", fmt.Errorf("weirserve: %q is not a size of messages", args[2])
		}
		return weirserver.Hub(args[1], size)
	default:
		return "", fmt.Errorf("weirserve: want the name of a server, not %q", args)
	}
}
