//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkSocketPair moves 64 bytes through a pair of unix sockets.
func BenchmarkSocketPair(b *testing.B) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	sys := Kernel()
	message, buf := make([]byte, 64), make([]byte, 4096)
	views := [][]byte{message[:32], message[32:]}

	for _, c := range []struct {
		name string
		send func()
		recv func() int
	}{
		{"SendRecv", func() { sys.Send(fds[0], message) }, func() int { n, _ := sys.Recv(fds[1], buf); return n }},
		{"SendvRecv", func() { sys.Sendv(fds[0], views) }, func() int { n, _ := sys.Recv(fds[1], buf); return n }},
		{"WriteRead", func() { unix.Write(fds[0], message) }, func() int { n, _ := unix.Read(fds[1], buf); return n }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				c.send()
				if n := c.recv(); n != len(message) {
					b.Fatal(n)
				}
			}
		})
	}
}
