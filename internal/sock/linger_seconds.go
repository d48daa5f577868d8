//go:build dragonfly || freebsd || linux || netbsd || openbsd

package sock

import "golang.org/x/sys/unix"

// lingerOption is the one that counts seconds.
const lingerOption = unix.SO_LINGER
