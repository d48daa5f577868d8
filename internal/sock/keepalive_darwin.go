package sock

import "golang.org/x/sys/unix"

// keepAliveIdle is the option for the time before the first probe.
const keepAliveIdle = unix.TCP_KEEPALIVE
