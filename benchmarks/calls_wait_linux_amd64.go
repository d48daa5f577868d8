package main

import "golang.org/x/sys/unix"

// waitCalls are those that newer architectures do not have.
func waitCalls() []numberedCall { return []numberedCall{{"epoll_wait", unix.SYS_EPOLL_WAIT}} }
