//go:build darwin || dragonfly || freebsd || linux || netbsd

package sock

import "golang.org/x/sys/unix"

// keepAliveProbes is how many probes there are in the time before the first. On Linux a
// connection whose probe is unanswered ends when nothing has come for TCP_USER_TIMEOUT,
// however many are to follow (tcp(7)). By default that is twice the idle time: with as
// long between probes as before them, the loss of one would end a healthy connection.
const keepAliveProbes = 3

// setKeepAliveSeconds sets the time before the first probe, and a third of it between
// probes.
func setKeepAliveSeconds(fd, seconds int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, keepAliveIdle, seconds); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(seconds/keepAliveProbes, 1))
}

// keepAliveSeconds reads the time before the first probe.
func keepAliveSeconds(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.IPPROTO_TCP, keepAliveIdle)
}
