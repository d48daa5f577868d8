// Package serving is what a server process of the benchmarks and the process that started
// it say to each other: lines on standard input, JSON lines on standard output.
//
//	             ->  {"address": …}   or {"missing": …} or {"error": …}, and the end
//	use          ->  processor time, allocations and memory so far
//	mem          ->  memory in use
//	gc           ->  the same after a garbage collection has returned what is free
//
// A server of another language, such as asio/echo.cpp, says the same.
package serving

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Report is what a server process writes, one JSON object per line.
type Report struct {
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"` // of what it is built with, if not Go
	Usage
	Memory  *Memory  `json:"memory,omitempty"`
	Missing *Missing `json:"missing,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Usage is what a server has used since it began. Zero is what it cannot tell.
type Usage struct {
	CPU        time.Duration `json:"cpu_ns,omitempty"`
	Allocs     int64         `json:"allocs,omitempty"` // objects on the Go heap
	AllocBytes int64         `json:"alloc_bytes,omitempty"`
	Resident   int64         `json:"resident,omitempty"` // bytes, now
}

// Memory is a server's memory in bytes. Resident is 0 where the system does not
// tell it through /proc.
type Memory struct {
	Resident  int64 `json:"resident"`
	HeapAlloc int64 `json:"heap_alloc"` // live objects, and dead ones not collected yet
	HeapInuse int64 `json:"heap_inuse"` // spans that hold at least one object
	Stacks    int64 `json:"stacks"`
}

// Missing is why a server cannot take part here, and what to type so that it can.
type Missing struct {
	Why  string `json:"why"`
	Type string `json:"type,omitempty"`
}

// Error says both.
func (m *Missing) Error() string {
	if m.Type == "" {
		return m.Why
	}
	return m.Why + "; type: " + m.Type
}

// Serve is the body of a server process: start begins to serve and returns the address,
// then each line of in is answered. It returns the exit code. The process ends when in
// ends, so that it never outlives its parent. An interrupt from the terminal, which
// reaches all processes, is left to the parent.
func Serve(start func() (address string, err error), in io.Reader, out io.Writer) int {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	reports := json.NewEncoder(out)
	address, err := start()
	if err != nil {
		var missing *Missing
		if errors.As(err, &missing) {
			_ = reports.Encode(Report{Missing: missing})
		} else {
			_ = reports.Encode(Report{Error: err.Error()})
		}
		return 1
	}
	if err := reports.Encode(Report{Address: address}); err != nil {
		return 1
	}
	for commands := bufio.NewScanner(in); commands.Scan(); {
		if err := reports.Encode(answer(commands.Text())); err != nil {
			return 1
		}
	}
	return 0
}

func answer(command string) Report {
	switch command {
	case "use":
		return Report{Usage: readUsage()}
	case "gc":
		runtime.GC() // twice in all, so that what sync.Pool holds goes too
		debug.FreeOSMemory()
		fallthrough
	case "mem":
		return Report{Memory: readMemory()}
	default:
		return Report{Error: fmt.Sprintf("serve: unknown command %q", command)}
	}
}

// readUsage does not stop the server, as reading all of the runtime's statistics does.
func readUsage() Usage {
	heap := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/tiny/allocs:objects"}}
	metrics.Read(heap)
	return Usage{
		CPU:        ProcessCPU(),
		Allocs:     int64(heap[0].Value.Uint64() + heap[2].Value.Uint64()),
		AllocBytes: int64(heap[1].Value.Uint64()),
		Resident:   residentBytes(),
	}
}

func readMemory() *Memory {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return &Memory{
		Resident:  residentBytes(),
		HeapAlloc: int64(s.HeapAlloc),
		HeapInuse: int64(s.HeapInuse),
		Stacks:    int64(s.StackInuse),
	}
}
