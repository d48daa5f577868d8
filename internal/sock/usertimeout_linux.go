package sock

import "golang.org/x/sys/unix"

// setUserTimeout bounds how long sent data may stay unacknowledged.
func setUserTimeout(fd, millis int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, millis)
}

// userTimeout reads it back.
func userTimeout(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
}
