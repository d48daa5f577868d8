//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import "runtime"

// dualStack: one socket takes IPv4 and IPv6.
const dualStack = runtime.GOOS != "openbsd" && runtime.GOOS != "dragonfly"
