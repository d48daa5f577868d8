package load

import (
	"os"

	"golang.org/x/sys/unix"
)

// bindSource gives fd an address and leaves the port to connect, which finds one that is
// free for this target; bind would look for one that is free for all.
func bindSource(fd int, a unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, a))
}
