//go:build !race

package pollertest

// raceEnabled says that the race detector is on, for which sizes shrink.
const raceEnabled = false
