package engine_test

import (
	"testing"
	"time"

	"github.com/weirnet/weir/internal/wait"
)

// Tests wait for events. The bound below only turns a hang into a failure.
const patience = 30 * time.Second

// await returns the next value from c.
func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: nothing came for %v", what, patience)
	}
	return v
}

// until waits for a condition that nobody announces, such as a counter.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	wait.Until(t, patience, what, holds)
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check reports an error from a goroutine that must go on, such as a handler's.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
