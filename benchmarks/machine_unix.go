//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// fileLimit is how many files a process may have open.
func fileLimit() string {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return ""
	}
	return fmt.Sprint(limit.Cur)
}
