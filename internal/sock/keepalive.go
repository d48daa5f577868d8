//go:build darwin || dragonfly || freebsd || linux || netbsd

package sock

import "golang.org/x/sys/unix"

// setKeepAliveSeconds sets the time before the first probe and between probes.
func setKeepAliveSeconds(fd, seconds int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, keepAliveIdle, seconds); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds)
}

// keepAliveSeconds reads the time before the first probe.
func keepAliveSeconds(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.IPPROTO_TCP, keepAliveIdle)
}
