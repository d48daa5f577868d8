package enginetest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var shrinkSeed = flag.Uint64("shrink-seed", 0, "the seed of TestShrink")

// TestShrink looks for the smallest history that fails as a seed does, also where that
// ends the process.
func TestShrink(t *testing.T) {
	if *shrinkSeed == 0 {
		t.Skip("-shrink-seed tells which")
	}
	t.Log(smaller(*shrinkSeed, ""))
}

// smaller looks for a smaller history than all of a seed's that fails in the same way,
// and tells of the smallest: the same failure is one whose message differs in numbers
// only, and an empty message is that of the seed.
func smaller(seed uint64, failure string) string {
	if *shrinkFor == 0 || *keepParts != "" {
		return ""
	}
	k := &shrinking{seed: seed, until: time.Now().Add(*shrinkFor)}
	k.best = k.run(nil)
	if failure == "" {
		failure = k.best.failure
	}
	k.pattern = patternOf(failure)
	if !k.same(k.best) {
		return fmt.Sprintf("\nin a process of its own the seed does not fail like that: %q", k.best.failure)
	}
	k.shrink()
	return fmt.Sprintf("\nthe smallest of %d histories that fail in this way has %d parts:\n%s\n%s\n", k.runs, len(k.best.parts), k.best.output, repeatSome(seed, k.best.parts))
}

// shrinking is the search for the smallest history. Each is run in a process of its own.
type shrinking struct {
	seed    uint64
	pattern string // of the failure
	until   time.Time
	runs    int
	best    attempt
}

// attempt is a history with some parts only.
type attempt struct {
	parts   []string // that it had
	failure string
	output  string
}

// shrink leaves out parts, many at first and then one at a time, as long as it fails.
func (k *shrinking) shrink() {
	for size := (len(k.best.parts) + 1) / 2; size > 0; {
		before := len(k.best.parts)
		for i := 0; i < len(k.best.parts) && time.Now().Before(k.until); {
			rest := slices.Delete(slices.Clone(k.best.parts), i, min(i+size, len(k.best.parts)))
			if a := k.run(rest); k.same(a) && len(a.parts) < len(k.best.parts) {
				k.best = a
			} else {
				i += size
			}
		}
		if size /= 2; size == 0 && len(k.best.parts) < before && time.Now().Before(k.until) {
			size = 1 // what could not be left out may be now
		}
	}
}

func (k *shrinking) same(a attempt) bool {
	return a.failure != "" && patternOf(a.failure) == k.pattern
}

// attemptMost is how long a history may take before it counts as one without end.
const attemptMost = 20 * time.Second

// run runs the history that has these parts only; nil: all.
func (k *shrinking) run(parts []string) (a attempt) {
	k.runs++
	ctx, cancel := context.WithTimeout(context.Background(), attemptMost)
	defer cancel()
	keep := ""
	if parts != nil {
		keep = strings.Join(parts, ",")
		if len(parts) == 0 {
			keep = "none"
		}
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSimulation$", "-test.v", fmt.Sprintf("-seed=%d", k.seed), "-seeds=1",
		"-shrink=0", "-parts", "-keep="+keep, fmt.Sprintf("-lines=%d", *traceTail))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return a
	}
	var rest []string
	for line := range strings.Lines(string(out)) {
		if part, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "part "); ok {
			a.parts = append(a.parts, part)
			continue
		}
		rest = append(rest, line)
		if m := failureLine.FindStringSubmatch(line); m != nil && a.failure == "" {
			if a.failure = m[1]; a.failure == "" {
				a.failure = strings.TrimSpace(line)
			}
		}
	}
	a.output = strings.Join(rest, "")
	if ctx.Err() != nil {
		a.failure = "it does not end"
	}
	return a
}

// failureLine is the first of those that tell of a failure.
var failureLine = regexp.MustCompile(`^\s+simulation_test\.go:\d+: (.+)|^(?:panic|fatal error): .+`)

// patternOf is a failure's message without its numbers, and without what comes behind
// them in a panic's.
func patternOf(failure string) string {
	if failure = strings.SplitN(failure, "\n", 2)[0]; len(failure) > 200 {
		failure = failure[:200]
	}
	return digits.ReplaceAllString(failure, "#")
}

var digits = regexp.MustCompile(`0x[0-9a-f]+|\d+`)
