package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

// serve is the body of a server process. It starts the contender that args name,
// writes a report with its address, and then a report for each line on in:
//
//	cpu   processor time used so far
//	mem   memory in use
//	gc    the same after a garbage collection has returned what is free
//
// It ends when in ends, so that it never outlives its parent. An interrupt from the
// terminal, which reaches all processes, is left to the parent.
func serve(args []string, in io.Reader, out io.Writer) int {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	reports := json.NewEncoder(out)
	address, err := startNamed(args)
	if err != nil {
		_ = reports.Encode(report{Error: err.Error()})
		return 1
	}
	if err := reports.Encode(report{Address: address}); err != nil {
		return 1
	}
	for commands := bufio.NewScanner(in); commands.Scan(); {
		if err := reports.Encode(answer(commands.Text())); err != nil {
			return 1
		}
	}
	return 0
}

// startNamed starts an echo server (NAME), or a hub (fanout NAME SIZE).
func startNamed(args []string) (address string, err error) {
	switch {
	case len(args) == 1:
		c, err := find(args[0])
		if err != nil {
			return "", err
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
	default:
		return "", fmt.Errorf("serve: want the name of a contender, not %q", args)
	}
}

// report is what a server process writes, one JSON object per line.
type report struct {
	Address string        `json:"address,omitempty"`
	CPU     time.Duration `json:"cpu_ns,omitempty"`
	Memory  *memory       `json:"memory,omitempty"`
	Error   string        `json:"error,omitempty"`
}

// memory is a server's memory in bytes. Resident is 0 where the system does not
// tell it through /proc.
type memory struct {
	Resident  int64 `json:"resident"`
	HeapAlloc int64 `json:"heap_alloc"` // live objects, and dead ones not collected yet
	HeapInuse int64 `json:"heap_inuse"` // spans that hold at least one object
	Stacks    int64 `json:"stacks"`
}

func answer(command string) report {
	switch command {
	case "cpu":
		return report{CPU: processCPU()}
	case "gc":
		runtime.GC() // twice in all, so that what sync.Pool holds goes too
		debug.FreeOSMemory()
		fallthrough
	case "mem":
		return report{Memory: readMemory()}
	default:
		return report{Error: fmt.Sprintf("serve: unknown command %q", command)}
	}
}

func readMemory() *memory {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return &memory{
		Resident:  residentBytes(),
		HeapAlloc: int64(s.HeapAlloc),
		HeapInuse: int64(s.HeapInuse),
		Stacks:    int64(s.StackInuse),
	}
}
