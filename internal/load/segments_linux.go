package load

import "golang.org/x/sys/unix"

// smallSegments makes a TCP socket announce the smallest segment of the internet.
// The peer's kernel sizes its send buffer by it: some 40 KB instead of 2.6 MB over
// loopback.
func smallSegments(fd int) {
	const bytes = 536
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, bytes) // not on unix sockets
}
