//go:build dragonfly || freebsd || linux || netbsd || openbsd

package sock

import "golang.org/x/sys/unix"

// sendFlags keep a send from blocking and from raising SIGPIPE.
const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// silencePipe has nothing to do where sends carry MSG_NOSIGNAL.
func silencePipe(int) error { return nil }
