//go:build linux

package main

import (
	"fmt"
	"os"
)

// logTo writes a server's line to standard error, which the harness reads.
func logTo(server, format string, args ...any) {
	fmt.Fprintf(os.Stderr, server+": "+format+"\n", args...)
}
