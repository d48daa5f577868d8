package engine_test

import "testing"

// How much the tests do: what is asked for with -big, what fits a normal run,
// or a small amount with -short and under the race detector.

// amount picks one of three by how the test is run.
func amount[N ~int | ~int64](full, normal, small N) N {
	switch {
	case *big:
		return full
	case raceEnabled || testing.Short():
		return small
	}
	return normal
}
