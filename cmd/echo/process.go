package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/weirnet/weir/internal/sock"
)

// process is what the server takes from the system. Memory is in bytes; what the
// system does not tell is left out.
type process struct {
	Goroutines int
	OpenFiles  int    `json:",omitempty"`
	MaxFiles   uint64 `json:",omitempty"`

	RSS          uint64 `json:",omitempty"` // resident: what the process has of the machine
	HeapAlloc    uint64 // reachable objects, and dead ones not yet collected
	HeapInUse    uint64 // the pages that hold them
	HeapIdle     uint64 // pages kept for later
	HeapReleased uint64 // of these, given back to the system
	StackInUse   uint64
	Sys          uint64 // all that Go's runtime ever asked for
	Collections  uint32
}

// readProcess looks at the process. It stops the world for some microseconds.
// Memory is looked at first, before looking itself has used some.
func readProcess() process {
	resident := residentBytes()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	maxFiles, _, _ := sock.FDLimit() // 0 where there is none
	return process{
		Goroutines:   runtime.NumGoroutine(),
		OpenFiles:    openFiles(),
		MaxFiles:     maxFiles,
		RSS:          resident,
		HeapAlloc:    m.HeapAlloc,
		HeapInUse:    m.HeapInuse,
		HeapIdle:     m.HeapIdle,
		HeapReleased: m.HeapReleased,
		StackInUse:   m.StackInuse,
		Sys:          m.Sys,
		Collections:  m.NumGC,
	}
}

// freeMemory collects garbage and gives unused memory back to the system. It takes
// two collections to empty a sync.Pool; FreeOSMemory does the second.
func freeMemory() {
	runtime.GC()
	debug.FreeOSMemory()
}

// openFiles counts descriptors; 0 where no directory lists them. A batch at a time,
// because there may be many.
func openFiles() (n int) {
	directories := map[string]string{"linux": "/proc/self/fd", "darwin": "/dev/fd"}
	directory, err := os.Open(directories[runtime.GOOS])
	if err != nil {
		return 0
	}
	defer directory.Close()
	for {
		names, err := directory.Readdirnames(256)
		n += len(names)
		if err != nil {
			return n - 1 // without the directory's own
		}
	}
}

// residentBytes reads VmRSS, which the kernel gives in KiB; 0 where there is no
// /proc of Linux's kind.
func residentBytes() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, found := bytes.Cut(status, []byte("\nVmRSS:"))
	fields := bytes.Fields(rest)
	if !found || len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseUint(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
