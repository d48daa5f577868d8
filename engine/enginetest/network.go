package enginetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// network is a sock.System in memory. One lock guards everything in it: sockets,
// their buffers, and what pollers know of them. It is never held while a gate
// runs.
//
// Descriptor numbers are the lowest free ones, as a kernel gives them, so that
// a number is used again at once.
type network struct {
	gate gate

	mu        sync.Mutex
	table     []*socket // by descriptor; nil: free
	free      int       // no number below is free
	listeners map[string][]*socket
	ports     uint16   // given out so far
	hosts     uint16   // how many addresses clients have; 0: the server's
	misuses   []string // calls on descriptors that are not open
}

const (
	firstFD        = 3
	firstPort      = 20000
	backlogMax     = 4096
	bufferBytes    = 64 << 10 // of each direction, unless a connection wants another size
	descriptorsMax = 1 << 20
)

func newNetwork(g gate) *network {
	return &network{gate: g, table: make([]*socket, firstFD), free: firstFD, listeners: make(map[string][]*socket)}
}

// misused records a call on a descriptor that is not open, which the engine must
// never make. The lock is held.
func (w *network) misused(call string) syscall.Errno {
	w.misuses = append(w.misuses, call)
	return syscall.EBADF
}

// install gives s the lowest free number. The lock is held.
func (w *network) install(s *socket) int {
	for w.free < len(w.table) && w.table[w.free] != nil {
		w.free++
	}
	if w.free == len(w.table) {
		w.table = append(w.table, nil)
	}
	s.fd = w.free
	w.table[s.fd] = s
	return s.fd
}

// at returns the socket with this number, nil if there is none. The lock is held.
func (w *network) at(fd int) *socket {
	if fd < 0 || fd >= len(w.table) {
		return nil
	}
	return w.table[fd]
}

// find is at for calls, which do not hold the lock.
func (w *network) find(call string, fd int) *socket {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(fd)
	if s == nil {
		w.misused(call)
	}
	return s
}

// open counts the descriptors that are open.
func (w *network) open() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.table {
		if s != nil {
			n++
		}
	}
	return n
}

// Listen implements sock.System.
func (w *network) Listen(network, address string, o sock.ListenOptions) (sock.Listener, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr, err := w.resolve(network, address)
	if err == nil && len(w.listeners[addr.String()]) > 0 && !o.ReusePort {
		err = os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	if err != nil {
		return sock.Listener{}, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: err}
	}
	s := &socket{network: w, listening: true, unix: network == "unix", local: addr}
	w.install(s)
	w.listeners[addr.String()] = append(w.listeners[addr.String()], s)
	return sock.Listener{FD: s.fd, Addr: addr}, nil
}

// resolve makes an address of a text, and gives port 0 a number.
func (w *network) resolve(network, address string) (net.Addr, error) {
	if network == "unix" {
		return &net.UnixAddr{Net: network, Name: address}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		number = uint64(w.nextPort())
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(number))), nil
}

func (w *network) nextPort() uint16 {
	w.ports++
	return firstPort + w.ports
}

// Adopt implements sock.System: there is nothing that it could duplicate.
func (w *network) Adopt(l net.Listener) (sock.Listener, error) {
	return sock.Listener{}, fmt.Errorf("enginetest: adopt %T: %w", l, errors.ErrUnsupported)
}

// connect opens a connection to a listener and returns the client's end. Each
// direction holds as many bytes as told; 0 means the default.
func (w *network) connect(addr net.Addr, toServer, toClient int) (*socket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	open := w.listeners[addr.String()]
	if len(open) == 0 {
		return nil, &net.OpError{Op: "dial", Net: addr.Network(), Addr: addr, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	port := w.nextPort()
	l := open[int(port)%len(open)]
	if len(l.backlog) >= backlogMax {
		return nil, &net.OpError{Op: "dial", Net: addr.Network(), Addr: addr, Err: os.NewSyscallError("connect", syscall.EAGAIN)}
	}
	client, server := w.pair(l.unix, toServer, toClient)
	client.remote, server.local = l.local, l.local
	if l.unix {
		// A real unix socket has no such name; tests tell connections apart by it.
		server.local = &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("%s#%d", l.local, port)}
		client.local = server.local
	} else {
		server.peerAddr = netip.AddrPortFrom(w.host(l.local.(*net.TCPAddr).AddrPort().Addr(), port), port)
		client.local = net.TCPAddrFromAddrPort(server.peerAddr)
	}
	server.remote = client.local
	client.port, server.port = port, port
	l.backlog = append(l.backlog, server)
	l.raise(allReady)
	return client, nil
}

// host is the address of the client that has a port.
func (w *network) host(server netip.Addr, port uint16) netip.Addr {
	if w.hosts == 0 {
		return server
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + port%w.hosts)})
}

// pair makes two connected sockets without numbers. The lock is held.
func (w *network) pair(unix bool, toSecond, toFirst int) (first, second *socket) {
	size := func(n int) int {
		if n == 0 {
			return bufferBytes
		}
		return n
	}
	first = &socket{network: w, fd: -1, unix: unix, limit: size(toFirst)}
	second = &socket{network: w, fd: -1, unix: unix, limit: size(toSecond)}
	first.peer, second.peer = second, first
	return first, second
}

// shout sends urgent data, a byte out of band, unless some is still on its way: its
// receiver is told, and the stream does not have it, but reads stop where it would be.
func (w *network) shout(s *socket) syscall.Errno {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s.closed:
		return w.misused("send")
	case s.shut || s.dead || s.peer.closed:
		return syscall.EPIPE
	case s.unix:
		return syscall.EOPNOTSUPP
	case s.peer.urgent:
		return syscall.EAGAIN
	}
	s.peer.urgent, s.peer.mark = true, len(s.peer.in)
	s.peer.raise(poller.Urgent)
	return 0
}

// Accept implements sock.System.
func (w *network) Accept(fd int) (conn int, peer netip.AddrPort, errno syscall.Errno) {
	fault := w.gate.accept()
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.at(fd)
	switch {
	case l == nil:
		return -1, peer, w.misused("accept")
	case !l.listening:
		return -1, peer, syscall.EINVAL
	case len(l.backlog) == 0:
		return -1, peer, syscall.EAGAIN
	case len(w.table) >= descriptorsMax:
		return -1, peer, syscall.EMFILE
	}
	s := l.backlog[0]
	switch fault {
	case 0:
		l.backlog = l.backlog[1:]
		return w.install(s), s.peerAddr, 0
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR:
		return -1, peer, fault
	}
	l.backlog = l.backlog[1:]
	s.close(true)
	return -1, peer, fault
}

// Recv implements sock.System.
func (w *network) Recv(fd int, p []byte) (n int, errno syscall.Errno) {
	s := w.find("recv", fd)
	if s == nil {
		return 0, syscall.EBADF
	}
	return s.recv(p)
}

// Send implements sock.System.
func (w *network) Send(fd int, p []byte) (n int, errno syscall.Errno) {
	return w.Sendv(fd, [][]byte{p})
}

// Sendv implements sock.System.
func (w *network) Sendv(fd int, views [][]byte) (n int, errno syscall.Errno) {
	s := w.find("send", fd)
	if s == nil {
		return 0, syscall.EBADF
	}
	return s.send(views)
}

// ShutdownWrite implements sock.System.
func (w *network) ShutdownWrite(fd int) syscall.Errno {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(fd)
	if s == nil {
		return w.misused("shutdown")
	}
	return s.shutdown()
}

// Close implements sock.System.
func (w *network) Close(fd int) syscall.Errno {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(fd)
	if s == nil {
		return w.misused("close")
	}
	w.table[fd] = nil
	w.free = min(w.free, fd)
	if s.listening {
		w.unlisten(s)
		return 0
	}
	s.close(s.options[sock.Linger] == noLinger)
	return 0
}

// unlisten closes a listener and resets those who wait to be accepted.
func (w *network) unlisten(l *socket) {
	l.forget()
	key := l.local.String()
	for i, other := range w.listeners[key] {
		if other == l {
			w.listeners[key] = append(w.listeners[key][:i:i], w.listeners[key][i+1:]...)
			break
		}
	}
	for _, s := range l.backlog {
		s.close(true)
	}
	l.backlog = nil
}

// noLinger is how a socket remembers the linger time 0, which is not the same as
// never having been told.
const noLinger = -2

// SetOption implements sock.System: it remembers the value.
func (w *network) SetOption(fd int, o sock.Option, value int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(fd)
	switch {
	case s == nil:
		return os.NewSyscallError("setsockopt", w.misused("setsockopt"))
	case int(o) >= len(s.options) || o == sock.SocketError:
		return os.NewSyscallError("setsockopt", syscall.EINVAL)
	case o == sock.Linger && value == 0:
		value = noLinger
	}
	s.options[o] = value
	return nil
}

// Option implements sock.System.
func (w *network) Option(fd int, o sock.Option) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(fd)
	switch {
	case s == nil:
		return 0, os.NewSyscallError("getsockopt", w.misused("getsockopt"))
	case int(o) >= len(s.options):
		return 0, os.NewSyscallError("getsockopt", syscall.EINVAL)
	case o == sock.SocketError:
		return int(s.takeError()), nil
	case o == sock.Linger && s.options[o] == noLinger:
		return 0, nil
	case o == sock.Linger && s.options[o] == 0:
		return -1, nil
	}
	return s.options[o], nil
}

// LocalAddr implements sock.System.
func (w *network) LocalAddr(fd int) net.Addr {
	if s := w.find("getsockname", fd); s != nil {
		return s.local
	}
	return nil
}
