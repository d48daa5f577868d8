//go:build race

package engine_test

// raceEnabled: the race detector makes everything about ten times slower.
const raceEnabled = true
