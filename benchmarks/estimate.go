package main

import (
	"fmt"
	"time"
)

// estimate says how much is left, from how long what is done was expected to take and
// has taken.
type estimate struct {
	done, total time.Duration // as expected
	took        time.Duration
	next        time.Duration // what a step is expected to take
}

// newEstimate is of that many steps that take the same time.
func newEstimate(steps int) *estimate {
	return &estimate{total: time.Duration(steps) * time.Second, next: time.Second}
}

// step tells that one more step is done, which took so long.
func (e *estimate) step(took time.Duration) string { return e.add(e.next, took) }

// add tells that what was expected to take so long is done, and has taken so long.
func (e *estimate) add(expected, took time.Duration) string {
	e.done += expected
	e.took += took
	if e.done <= 0 {
		return ""
	}
	left := time.Duration(float64(e.took) / float64(e.done) * float64(max(e.total-e.done, 0)))
	return fmt.Sprintf("%d%% done, %v left", min(100*e.done/e.total, 100), left.Round(time.Second))
}
