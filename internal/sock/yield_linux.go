package sock

import "golang.org/x/sys/unix"

// Yield lets other threads that wait for this processor run first, as sched_yield(2) has
// it; it returns at once if there are none. If those compute the calling thread may get less
// than a fair share of the time, and a collection of garbage waits for it meanwhile.
func Yield() { _, _ = RawSyscall6(unix.SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0) } // it cannot fail
