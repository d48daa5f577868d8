package enginetest

import (
	"fmt"
	"hash"
	"hash/fnv"
	"strings"
)

// trace is the history of a simulation: a hash of all of it, and its end.
type trace struct {
	sum     hash.Hash64
	tail    []string
	lines   int
	failure string // the first
}

func (t *trace) add(line string) {
	if t.sum == nil {
		t.sum = fnv.New64a()
	}
	_, _ = t.sum.Write([]byte(line))
	if t.tail == nil {
		t.tail = make([]string, *traceTail)
	}
	t.tail[t.lines%len(t.tail)] = line
	t.lines++
}

func (t *trace) String() string {
	var b strings.Builder
	for i := max(0, t.lines-len(t.tail)); i < t.lines; i++ {
		fmt.Fprintf(&b, "%6d %s\n", i, t.tail[i%len(t.tail)])
	}
	return b.String()
}

// report tells what failed, how, and how to see it again.
func (s *simulation) report() string {
	return fmt.Sprintf("%s\n%s\n%s", s.trace.failure, &s.trace, repeat(s.seed))
}

func repeat(seed uint64) string {
	return fmt.Sprintf("repeat: go test ./engine/enginetest -run 'TestSimulation$' -seed=%d -seeds=1 -v    (-lines=100000: from the beginning)", seed)
}

// repeatSome is repeat for a history with some parts only.
func repeatSome(seed uint64, parts []string) string {
	keep := "none"
	if len(parts) > 0 {
		keep = strings.Join(parts, ",")
	}
	return fmt.Sprintf("repeat: go test ./engine/enginetest -run 'TestSimulation$' -seed=%d -seeds=1 -v -keep=%s", seed, keep)
}

// note adds a line to the trace.
func (s *simulation) note(format string, args ...any) {
	s.trace.add(fmt.Sprintf("%*s", 2*s.depth, "") + fmt.Sprintf(format, args...))
}

// failf ends the simulation. Only the first failure counts; what follows may
// come of it.
func (s *simulation) failf(format string, args ...any) {
	if s.failed {
		return
	}
	s.failed = true
	s.trace.failure = fmt.Sprintf(format, args...)
	s.note("FAILURE: %s", s.trace.failure)
}
