package engine

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"unsafe"

	"github.com/weirnet/weir/session"
)

// Stack traces are the only place where the runtime tells the number of a goroutine,
// and what it is doing. A worker is found in them by its session's address, which the
// calls on it show as their first argument: asking each for its number when it begins
// would cost a microsecond.

// Bounds of a look at all goroutines, for which the program stands still, about 3.5 µs
// for each.
const (
	stackGoroutines = 2000
	stackBytes      = 1 << 20
)

// ownStackBytes has room for a trace, of which the runtime prints the innermost fifty
// calls and the outermost.
const ownStackBytes = 64 << 10

// allStacks returns the traces of all goroutines, or why they cannot be had.
func allStacks() (traces []byte, why string) {
	if n := runtime.NumGoroutine(); n > stackGoroutines {
		return nil, fmt.Sprintf("not taken: there are %d goroutines, and the program would stand still for too long", n)
	}
	traces = make([]byte, stackBytes)
	return traces[:runtime.Stack(traces, true)], ""
}

// stackOfGoroutine returns the trace of the goroutine with this number, or why there is
// none.
func stackOfGoroutine(id uint64) string {
	head := fmt.Appendf(nil, "goroutine %d ", id)
	return findStack(func(trace []byte) bool { return bytes.HasPrefix(trace, head) })
}

// stackOfHandlers returns the trace of the goroutine that runs the handlers of s, or why
// there is none.
func stackOfHandlers(s *session.Session) string {
	return findStack(func(trace []byte) bool {
		for _, method := range [...]string{"run", "do", "show", "callMessage"} {
			if calls(trace, sessionMethods+method, unsafe.Pointer(s)) {
				return true
			}
		}
		return false
	})
}

const sessionMethods = "github.com/weirnet/weir/session.(*Session)."

// findStack returns the first trace of those of all goroutines that is meant.
func findStack(meant func(trace []byte) bool) string {
	traces, why := allStacks()
	if traces == nil {
		return why
	}
	for trace := range bytes.SplitSeq(traces, []byte("\n\n")) {
		if meant(trace) {
			return string(trace)
		}
	}
	return "not found: it has gone on meanwhile, or there was too much to look through"
}

// calls tells whether a trace has a call of the function with this first argument.
func calls(trace []byte, function string, argument unsafe.Pointer) bool {
	call := fmt.Appendf(nil, "%s(%p", function, argument)
	for {
		_, rest, found := bytes.Cut(trace, call)
		if found && (len(rest) == 0 || !isHex(rest[0])) {
			return true
		}
		if !found {
			return false
		}
		trace = rest
	}
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// goroutineID is the number of the calling goroutine, with which its trace begins.
func goroutineID() uint64 {
	var trace [64]byte
	n := runtime.Stack(trace[:], false)
	number, _, _ := bytes.Cut(bytes.TrimPrefix(trace[:n], []byte("goroutine ")), []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
