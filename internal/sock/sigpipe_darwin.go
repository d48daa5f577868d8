package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

// sendFlags keep a send from blocking.
const sendFlags = unix.MSG_DONTWAIT

// silencePipe keeps sends on fd from raising SIGPIPE; no flag of a send can.
func silencePipe(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1))
}
