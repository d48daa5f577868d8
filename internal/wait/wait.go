// Package wait has what tests of several packages wait with.
package wait

import (
	"testing"
	"time"
)

// Until waits for a condition that nobody announces, such as a counter. It asks again and
// again on the test's goroutine, and fails the test, and so ends that goroutine, if after
// patience it has not been told so; what says for what it waits.
func Until(t testing.TB, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-tick.C
	}
}
