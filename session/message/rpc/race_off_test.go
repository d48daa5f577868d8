//go:build !race

package rpc_test

// raceEnabled: the race detector makes everything about ten times slower.
const raceEnabled = false
