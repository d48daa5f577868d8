//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// stopProcess stops a process until it is resumed.
func stopProcess(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("SIGSTOP: %w", err)
	}
	return nil
}

// resumeProcess lets a process go on; one that runs, or has ended, stays as it is.
func resumeProcess(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }
