//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package load

import (
	"net/netip"

	"github.com/weirnet/weir/poller"
)

// beginConnect fails: there is no poller that would tell when it is done.
func beginConnect(netip.AddrPort, netip.Addr) (fd int, err error) { return -1, poller.ErrUnsupported }
