//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// straced is what strace 6.1 writes with -f and -ttt.
const straced = `7131  1795923000.000100 accept4(8, {sa_family=AF_INET, sin_port=htons(48310), sin_addr=inet_addr("127.0.0.1")}, [112 => 16], SOCK_CLOEXEC|SOCK_NONBLOCK) = 9
7131  1795923000.000200 accept4(8, 0xc0000ff000, [112], SOCK_CLOEXEC|SOCK_NONBLOCK) = -1 EAGAIN (Resource temporarily unavailable)
7132  1795923000.500000 accept4(8, 0xc0000ff000, [112], SOCK_CLOEXEC|SOCK_NONBLOCK) = -1 ENFILE (Too many open files in system) (INJECTED)
7133  1795923001.000000 epoll_pwait(4,  <unfinished ...>
7132  1795923001.000001 accept4(8, 0xc0000ff000, [112], SOCK_CLOEXEC|SOCK_NONBLOCK) = -1 ENFILE (Too many open files in system) (INJECTED)
7133  1795923001.250000 <... epoll_pwait resumed>, 0xc000ab, 128, 0, NULL, 0) = -1 EINTR (Interrupted system call) (INJECTED)
7133  1795923001.300000 epoll_pwait(4, [], 128, 0, NULL, 0) = 0
7134  1795923002.000000 epoll_wait(4, 0xc000ab, 128, 0) = ?
7131  1795923003.000000 +++ exited with 0 +++
`

func TestParseStrace(t *testing.T) {
	calls := parseStrace(strings.NewReader(straced))
	want := []traced{
		{time.Unix(1795923000, 100_000), "accept4", "", false},
		{time.Unix(1795923000, 200_000), "accept4", "EAGAIN", false},
		{time.Unix(1795923000, 500_000_000), "accept4", "ENFILE", true},
		{time.Unix(1795923001, 1000), "accept4", "ENFILE", true},
		{time.Unix(1795923001, 250_000_000), "epoll_pwait", "EINTR", true},
		{time.Unix(1795923001, 300_000_000), "epoll_pwait", "", false},
	}
	if len(calls) != len(want) {
		t.Fatalf("%d calls, want %d: %+v", len(calls), len(want), calls)
	}
	for i := range want {
		if calls[i].call != want[i].call || calls[i].errno != want[i].errno || calls[i].injected != want[i].injected || !calls[i].at.Equal(want[i].at) {
			t.Errorf("call %d is %+v, want %+v", i, calls[i], want[i])
		}
	}
}

func TestInjectedSince(t *testing.T) {
	calls := parseStrace(strings.NewReader(straced))
	for _, c := range []struct {
		errno string
		since time.Time
		want  int
	}{
		{"ENFILE", time.Unix(1795923000, 0), 2},
		{"ENFILE", time.Unix(1795923001, 1000), 1},
		{"ENFILE", time.Unix(1795923002, 0), 0},
		{"EINTR", time.Unix(1795923000, 0), 1},
		{"EAGAIN", time.Unix(1795923000, 0), 0}, // the kernel's own
	} {
		if got := injectedSince(calls, c.errno, c.since); got != c.want {
			t.Errorf("%s since %v: %d, want %d", c.errno, c.since.Unix(), got, c.want)
		}
	}
}
