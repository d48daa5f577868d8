package main

import "golang.org/x/sys/unix"

// frequentCalls are those that servers make often; all others are counted together.
func frequentCalls() []numberedCall {
	return append(waitCalls(), []numberedCall{
		{"read", unix.SYS_READ}, {"readv", unix.SYS_READV}, {"recvfrom", unix.SYS_RECVFROM}, {"recvmsg", unix.SYS_RECVMSG},
		{"write", unix.SYS_WRITE}, {"writev", unix.SYS_WRITEV}, {"sendto", unix.SYS_SENDTO}, {"sendmsg", unix.SYS_SENDMSG},
		{"epoll_pwait", unix.SYS_EPOLL_PWAIT}, {"epoll_ctl", unix.SYS_EPOLL_CTL},
		{"accept4", unix.SYS_ACCEPT4}, {"close", unix.SYS_CLOSE}, {"shutdown", unix.SYS_SHUTDOWN}, {"setsockopt", unix.SYS_SETSOCKOPT},
		{"futex", unix.SYS_FUTEX}, {"nanosleep", unix.SYS_NANOSLEEP}, {"sched_yield", unix.SYS_SCHED_YIELD},
	}...)
}
