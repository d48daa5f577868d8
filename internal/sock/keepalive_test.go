//go:build darwin || dragonfly || freebsd || linux || netbsd

package sock

import (
	"testing"

	"golang.org/x/sys/unix"
)

// One lost probe must not end a connection: several lie between the idle time and the
// user timeout, which by default is twice as long.
func TestKeepAliveProbesMoreThanOnce(t *testing.T) {
	for idle, want := range map[int]int{15: 5, 60: 20, 2: 1, 1: 1} {
		p := newPair(t, place{"tcp4", "127.0.0.1:0"})
		if err := Configure(Kernel(), p.client, ConnOptions{KeepAliveSeconds: idle}); err != nil {
			t.Fatal(err)
		}
		got, err := unix.GetsockoptInt(p.client, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
		if err != nil || got != want {
			t.Errorf("idle %d s: %d s between probes (%v), want %d", idle, got, err, want)
		}
	}
}
