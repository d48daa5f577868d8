//go:build !linux

// Command faults injects faults into echo servers. Its tools — prlimit, strace, ss
// and /proc — are Linux's.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "faults: the tools that inject faults exist on Linux only")
	os.Exit(1)
}
