//go:build !linux

// Command soak keeps servers busy and looks whether they stay as they are. Where it
// looks, /proc and TCP_INFO, is Linux's.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "soak: runs on Linux only: it looks at /proc")
	os.Exit(1)
}
