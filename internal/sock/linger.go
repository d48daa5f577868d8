//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import "golang.org/x/sys/unix"

// setLinger sets for how many seconds a close waits for unsent data; -1 is off.
func setLinger(fd, seconds int) error {
	linger := unix.Linger{Linger: int32(max(seconds, 0))}
	if seconds >= 0 {
		linger.Onoff = 1
	}
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, lingerOption, &linger)
}

// lingerSeconds reads it back.
func lingerSeconds(fd int) (int, error) {
	linger, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, lingerOption)
	if err != nil {
		return 0, err
	}
	if linger.Onoff == 0 {
		return -1, nil
	}
	return int(linger.Linger), nil
}
