package sock

import "golang.org/x/sys/unix"

// Yield lets other threads that wait for this processor run first, as sched_yield(2) has
// it; at once if there are none. The calling thread keeps its share of the time.
func Yield() { _, _ = RawSyscall6(unix.SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0) } // it cannot fail
