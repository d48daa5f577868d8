//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd

package sock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
)

// kernel stands for an operating system that weir has no sockets for: it builds
// there, and every call says so.
type kernel struct{}

// Kernel returns the operating system's sockets. Here, every method fails.
func Kernel() System { return &kernel{} }

func unsupported(what string) error {
	return fmt.Errorf("sock: %s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}

// Listen fails.
func (*kernel) Listen(_, _ string, _ ListenOptions) (Listener, error) {
	return Listener{}, unsupported("listen")
}

// Adopt fails.
func (*kernel) Adopt(net.Listener) (Listener, error) {
	return Listener{}, unsupported("adopt a listener")
}

// Accept fails.
func (*kernel) Accept(int) (int, netip.AddrPort, syscall.Errno) {
	return -1, netip.AddrPort{}, syscall.ENOSYS
}

// Recv fails.
func (*kernel) Recv(int, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// Send fails.
func (*kernel) Send(int, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// Sendv fails.
func (*kernel) Sendv(int, [][]byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// ShutdownWrite fails.
func (*kernel) ShutdownWrite(int) syscall.Errno { return syscall.ENOSYS }

// Close fails.
func (*kernel) Close(int) syscall.Errno { return syscall.ENOSYS }

// SetOption fails.
func (*kernel) SetOption(int, Option, int) error { return unsupported("set an option") }

// Option fails.
func (*kernel) Option(int, Option) (int, error) { return 0, unsupported("read an option") }

// LocalAddr is nil.
func (*kernel) LocalAddr(int) net.Addr { return nil }

// Dup fails.
func Dup(syscall.Conn) (fd int, err error) { return -1, unsupported("duplicate a connection") }

// Dial fails.
func Dial(context.Context, net.Dialer, string, string) (fd int, peer netip.AddrPort, err error) {
	return -1, netip.AddrPort{}, unsupported("dial")
}

// AdoptConn fails.
func AdoptConn(net.Conn) (fd int, peer netip.AddrPort, local bool, err error) {
	return -1, netip.AddrPort{}, false, unsupported("adopt a connection")
}

// FDLimit fails.
func FDLimit() (soft, hard uint64, err error) { return 0, 0, unsupported("limit of descriptors") }

// Somaxconn fails.
func Somaxconn() (int, error) { return 0, unsupported("somaxconn") }

// PortRange fails.
func PortRange() (lo, hi int, err error) { return 0, 0, unsupported("port range") }
