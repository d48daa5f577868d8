// Package memlimit tells how much memory the process may use, and what is used of it:
//
//	memlimit.go  the limits that there are, and which of them counts
//	group.go     the process's cgroup: whose limit is the least, and what it uses
//	parse.go     the kernel's files, as text
//
// Nothing is remembered between calls: a limit that changes is seen by the next Find.
package memlimit

import (
	"math"
	"runtime/debug"
)

// Limits are what bounds the process's memory, in bytes. 0 is none, or not known.
type Limits struct {
	Runtime int64 // of the Go runtime: GOMEMLIMIT, or debug.SetMemoryLimit
	Group   Group // the process's cgroup; the zero Group if it sets no limit
	Machine int64 // all memory that there is
}

// Find looks at what the process may use. Any goroutine may call it; it reads some
// files.
func Find() Limits {
	l := Limits{Machine: machine(), Group: findGroup("/")}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		l.Runtime = limit
	}
	if l.Machine > 0 && l.Group.Limit >= l.Machine {
		l.Group = Group{} // it bounds nothing
	}
	return l
}

// Bytes returns the limit that counts: the Go runtime's if one is set, else the
// cgroup's or the machine's memory, whichever is less; 0 if the system does not say.
func (l Limits) Bytes() int64 {
	if l.Runtime > 0 {
		return l.Runtime
	}
	return smallest(l.Group.Limit, l.Machine)
}

// Bytes is the limit that counts, as Find sees it now.
func Bytes() int64 { return Find().Bytes() }

// smallest returns the smallest of the limits that are known.
func smallest(limits ...int64) (least int64) {
	for _, limit := range limits {
		if limit > 0 && (least == 0 || limit < least) {
			least = limit
		}
	}
	return least
}
