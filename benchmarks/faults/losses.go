//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// What the kernel has thrown away of TCP's segments, by its own names (see nstat(8)). On
// loopback nothing gets lost but for these, and what they hit comes again after a back-off.
var lossNames = [...]string{"TCPRcvQDrop", "TCPBacklogDrop", "ListenDrops"}

// losses are the counters of lossNames, of the network of the calling thread.
type losses [len(lossNames)]int64

// readLosses returns nothing but zeros where the kernel does not tell.
func readLosses() losses {
	f, err := os.Open("/proc/thread-self/net/netstat")
	if err != nil {
		return losses{}
	}
	defer f.Close()
	return parseLosses(f)
}

// parseLosses reads pairs of lines: names, and their values.
func parseLosses(r io.Reader) (l losses) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		names := strings.Fields(lines.Text())
		if !lines.Scan() {
			break
		}
		values := strings.Fields(lines.Text())
		for i, name := range names[:min(len(names), len(values))] {
			for j, wanted := range lossNames {
				if name == wanted {
					l[j], _ = strconv.ParseInt(values[i], 10, 64) // 0 if it is no number
				}
			}
		}
	}
	return l
}

// since tells what was lost since before; empty if nothing was.
func (l losses) since(before losses) string {
	var b strings.Builder
	for i, name := range lossNames {
		if n := l[i] - before[i]; n > 0 {
			fmt.Fprintf(&b, ", %s %d", name, n)
		}
	}
	return strings.TrimPrefix(b.String(), ", ")
}
