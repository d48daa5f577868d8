package sock

import "golang.org/x/sys/unix"

// reusePort: plain SO_REUSEPORT gives all connections to the newest socket
// here; only this one spreads them.
const reusePort = unix.SO_REUSEPORT_LB
