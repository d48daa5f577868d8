//go:build !unix

package main

import (
	"errors"
	"os"
)

func stopProcess(*os.Process) error { return errors.New("no process can be stopped on this system") }
func resumeProcess(*os.Process)     {}
