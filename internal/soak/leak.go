//go:build linux

package main

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/weirnet/weir/session"
)

// What a server can be told to leak. No flag of the program leads here, only its tests,
// which show that a soak notices.
const (
	leakMemory      = "memory"
	leakDescriptors = "descriptors"
	leakGoroutines  = "goroutines"
)

// leakEvery is with how many sessions something is lost, once.
const leakEvery = 10

// leakBytes is how much memory is lost at a time.
const leakBytes = 32 << 10

// leak loses something with every few sessions. The nil leak loses nothing.
type leak struct {
	what     string
	sessions atomic.Int64

	mu   sync.Mutex
	kept [][]byte
}

func newLeak(what string) (*leak, error) {
	switch what {
	case "":
		return nil, nil
	case leakMemory, leakDescriptors, leakGoroutines:
		return &leak{what: what}, nil
	}
	return nil, fmt.Errorf("leak %q: there is none of this name", what)
}

func (l *leak) open(s *session.Session) {
	if l == nil || l.sessions.Add(1)%leakEvery != 0 {
		return
	}
	switch l.what {
	case leakMemory:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.kept = append(l.kept, make([]byte, leakBytes))
	case leakDescriptors:
		_, _ = unix.Eventfd(0, unix.EFD_CLOEXEC) // if there is none left, that is noticed, too
	case leakGoroutines:
		go func() { <-make(chan struct{}) }()
	}
}
