// Package sock is the kernel's socket layer as the engine sees it: one small
// interface, an implementation per family of operating systems, and room for
// the in-memory one that the simulator injects.
//
// Calls that carry traffic return a bare errno (0 is success) so that the hot
// path allocates nothing; calls made once per socket return wrapped errors.
// Every socket made here is non-blocking and close-on-exec.
package sock

import (
	"io/fs"
	"net"
	"net/netip"
	"syscall"
)

// System is a set of sockets. All methods may be called from any goroutine.
type System interface {
	// Listen opens a listening socket. Network is tcp, tcp4, tcp6 or unix.
	// Errors are *net.OpError, as package net gives them, so that callers can
	// test for EADDRINUSE and the like with errors.Is.
	Listen(network, address string, o ListenOptions) (Listener, error)

	// Adopt duplicates the descriptor of l, which stays open and as it is. The
	// caller closes both. A listener without syscall.Conn is refused by type
	// name, and so is one in blocking mode: duplicates share the mode. A type
	// that embeds a listener of package net and overrides its Accept is adopted
	// all the same, without that Accept.
	Adopt(l net.Listener) (Listener, error)

	// Accept takes one connection; the caller owns it. Peer is the zero AddrPort
	// on unix sockets; IPv4 is never written as IPv6, and the zone of an IPv6
	// address is the number of the interface. The error may concern one
	// connection only (ECONNABORTED, on Linux also EPERM, EPROTO and those of
	// the network), this call only (EINTR) or all of them (EMFILE, ENFILE,
	// ENOBUFS, ENOMEM).
	Accept(fd int) (conn int, peer netip.AddrPort, errno syscall.Errno)

	// Recv reads into p. Zero bytes with errno 0 is the end of the stream.
	// It never blocks: EAGAIN means that nothing is there. It keeps no reference
	// to p, which must not be empty.
	//
	// A short read does not always mean that the kernel has nothing left. On
	// TCP, urgent data ends a read early. On unix sockets, a message with
	// descriptors does: they are dropped, and what follows needs another Recv.
	Recv(fd int, p []byte) (n int, errno syscall.Errno)

	// Send writes p, or as much of it as fits. It never blocks and never raises
	// SIGPIPE. It keeps no reference to p.
	Send(fd int, p []byte) (n int, errno syscall.Errno)

	// Sendv writes the views in order with one call, as many as MaxViews and
	// MaxBytes allow. Views may be empty. It keeps no reference to them.
	Sendv(fd int, views [][]byte) (n int, errno syscall.Errno)

	// ShutdownWrite sends FIN after what is queued in the kernel.
	ShutdownWrite(fd int) syscall.Errno

	// Close closes fd. It is not retried on EINTR: the descriptor is gone.
	Close(fd int) syscall.Errno

	// SetOption and Option set and read one option. What the system or the kind
	// of socket lacks gives an error that wraps errors.ErrUnsupported.
	SetOption(fd int, o Option, value int) error
	Option(fd int, o Option) (int, error)

	// LocalAddr is the address that fd is bound to; nil if the kernel cannot say.
	LocalAddr(fd int) net.Addr
}

// MaxViews is how many views one Sendv takes; more are ignored.
const MaxViews = 64

// MaxBytes is how many bytes one Send, Sendv or Recv moves at most. A larger
// call would hold up the runtime for too long (4 MiB takes 1.6 ms).
const MaxBytes = 256 << 10

// ListenOptions are what is fixed when a socket starts to listen.
type ListenOptions struct {
	// Backlog is the length of the queue of connections that wait to be
	// accepted; 0 means the system's maximum, which also caps other values.
	Backlog int

	// ReusePort lets several sockets listen on one address (SO_REUSEPORT).
	ReusePort bool

	// Conn are the options of accepted connections. Where the system hands the
	// listener's options down (Linux), they are set here once instead of on
	// every connection.
	Conn ConnOptions
}

// ConnOptions are what every TCP connection of a listener starts with.
// On unix sockets they mean nothing.
type ConnOptions struct {
	NoDelay           bool // TCP_NODELAY
	KeepAliveSeconds  int  // idle time and interval of keep-alive probes; 0: off
	UserTimeoutMillis int  // TCP_USER_TIMEOUT; 0: the system's; ignored where there is none
}

// Listener is an open listening socket, owned by whoever asked for it, who ends
// it with Release.
type Listener struct {
	FD   int
	Addr net.Addr // with the port that the kernel chose

	// Unlink is the socket file that Release removes, an absolute path; empty
	// for TCP, for adopted listeners and for abstract unix addresses.
	Unlink string
	file   fs.FileInfo // what Unlink named when it was bound

	// Inherits says that accepted connections already have the ConnOptions;
	// otherwise Configure must be called for each.
	Inherits bool
}

// Option is a socket option that System can set and read.
type Option uint8

// The options. Values are 0 or 1 unless a unit is named.
const (
	NoDelay           Option = iota // TCP_NODELAY
	KeepAlive                       // SO_KEEPALIVE
	KeepAliveSeconds                // TCP_KEEPIDLE and TCP_KEEPINTVL (TCP_KEEPALIVE on darwin), seconds
	UserTimeoutMillis               // TCP_USER_TIMEOUT, milliseconds
	Linger                          // SO_LINGER, seconds; -1 is off
	SendBuffer                      // SO_SNDBUF, bytes (Linux reads back twice the value set)
	RecvBuffer                      // SO_RCVBUF, bytes
	SocketError                     // SO_ERROR, an errno; read only, reading clears it
)
