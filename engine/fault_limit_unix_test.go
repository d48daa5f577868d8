//go:build unix

package engine_test

import (
	"fmt"
	"syscall"
)

// limitFiles bounds the descriptors that this process may have open.
func limitFiles(text string) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if _, err := fmt.Sscan(text, &limit.Cur); err != nil {
		return err
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
