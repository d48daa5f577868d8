package serving

import (
	"time"

	"golang.org/x/sys/unix"
)

// clockOfProcess marks, in the number of a clock, that it is a process's and counts what the
// scheduler gave it, in nanoseconds (clock_getcpuclockid(3)).
const clockOfProcess = 2

// processorTimeOf is the processor time that a process has used, in user and kernel. The
// process does nothing for it.
func processorTimeOf(pid int) (time.Duration, bool) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|clockOfProcess), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
