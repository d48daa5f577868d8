package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/weirnet/weir/internal/sock"
)

// dialsAtOnce bounds how many connections are being opened at any moment. It is
// well below the accept queue of any server.
const dialsAtOnce = 32

// sourceAddresses is over how many loopback addresses connections are spread.
// Each has about 28,000 ports of its own.
const sourceAddresses = 200

// splitAddress turns host:port or unix:/path into what net.Dialer takes.
func splitAddress(address string) (network, target string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("load: address %q has no path", address)
		}
		return "unix", path, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", "", fmt.Errorf("load: address %q is neither host:port nor unix:/path: %w", address, err)
	}
	return "tcp", address, nil
}

// dialer opens the connections of one load.
type dialer struct {
	network, target string
	rotate          bool // spread over source addresses
}

func newDialer(address string) (dialer, error) {
	network, target, err := splitAddress(address)
	if err != nil {
		return dialer{}, err
	}
	return dialer{network, target, network == "tcp" && canRotate(target)}, nil
}

// canRotate says whether connections to target may come from any 127.0.0.0/8
// address. Linux has all of them on its loopback, others only 127.0.0.1.
func canRotate(target string) bool {
	ap, err := netip.ParseAddrPort(target)
	return err == nil && runtime.GOOS == "linux" && ap.Addr().Is4() && ap.Addr().IsLoopback()
}

// source is the local address of connection i; nil leaves it to the system.
func (d dialer) source(i int) net.Addr {
	ip := d.sourceIP(i)
	if !ip.IsValid() {
		return nil
	}
	return &net.TCPAddr{IP: ip.AsSlice()}
}

// sourceIP is the same; the zero Addr leaves it to the system.
func (d dialer) sourceIP(i int) netip.Addr {
	if !d.rotate {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i%sourceAddresses)})
}

// dial opens connection i. Without keep-alive: the probes of thousands of connections
// fall due at once, and more than a thousand overflow the queue of Linux's loopback.
// Whose probes are lost nine times ends with ETIMEDOUT.
func (d dialer) dial(ctx context.Context, i int) (net.Conn, error) {
	nd := net.Dialer{LocalAddr: d.source(i), KeepAlive: -1}
	return nd.DialContext(ctx, d.network, d.target)
}

// each opens connections from (included) to (excluded), a few at a time, and hands
// each to use, which owns it from then on and may be called from several
// goroutines at once. It returns when all are done; the first error ends it.
func (d dialer) each(ctx context.Context, from, to int, use func(ctx context.Context, i int, c net.Conn) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	next := make(chan int)
	var workers sync.WaitGroup
	for range min(dialsAtOnce, to-from) {
		workers.Go(func() {
			for i := range next {
				c, err := d.dial(ctx, i)
				if err == nil {
					err = use(ctx, i, c)
				}
				if err != nil {
					cancel(fmt.Errorf("load: connection %d: %w", i, err))
				}
			}
		})
	}
	for i := from; i < to && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// takeOver returns a descriptor of its own for c, which the caller still closes.
func takeOver(c net.Conn) (fd int, err error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("load: a %T has no descriptor", c)
	}
	return sock.Dup(sc)
}

// closeWithReset closes fd and drops what is on its way. On a unix socket it is a
// plain close.
func closeWithReset(sockets sock.System, fd int) {
	_ = sockets.SetOption(fd, sock.Linger, 0) // it fails when the peer was faster
	sockets.Close(fd)
}
