package enginetest

import (
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// socket is one end of a connection, or a listener. Its network's lock guards
// all that changes. It does what a Linux socket does, as far as a program can
// tell: see tcp(7), unix(7), and tcp_poll in the kernel's source.
type socket struct {
	// Identity.
	network   *network
	fd        int // -1: none; clients need none
	port      uint16
	unix      bool
	listening bool
	local     net.Addr
	remote    net.Addr
	peerAddr  netip.AddrPort
	peer      *socket

	// Incoming.
	in    []byte
	limit int  // bytes that fit into in
	fin   bool // the peer sends no more

	urgent bool // urgent data has come, and reading has not got past it
	mark   int  // bytes of in before it

	// Outgoing.
	shut bool   // we send no more
	full bool   // a write found too little room: tell when there is some
	sent uint64 // bytes taken from the program so far

	// Both.
	failure syscall.Errno // told once
	dead    bool          // reset
	closed  bool
	options [sock.SocketError + 1]int

	backlog []*socket       // listeners
	watched []*registration // pollers that want to know
	changed *sync.Cond      // clients that wait; may be nil
}

// recv reads without blocking.
func (s *socket) recv(p []byte) (n int, errno syscall.Errno) {
	allowed := s.network.gate.recv(s, len(p))
	n, errno = s.receive(p, allowed)
	s.network.gate.moved("recv", s, n, errno)
	return n, errno
}

func (s *socket) receive(p []byte, allowed int) (n int, errno syscall.Errno) {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	switch {
	case s.closed:
		return 0, s.network.misused("recv")
	case len(s.in) > 0:
		return s.take(p, allowed)
	case s.failure != 0 && (s.unix || !s.fin):
		return 0, s.takeError()
	case s.fin || s.dead:
		return 0, 0
	}
	return 0, syscall.EAGAIN
}

// take moves bytes out of the buffer. What stays there although there is room for it in
// p is announced, as if it had come just now; but not on unix sockets, where a read may
// also stop at a descriptor that was passed, and not at urgent data.
func (s *socket) take(p []byte, allowed int) (n int, errno syscall.Errno) {
	if allowed == 0 {
		s.raise(poller.Readable)
		return 0, syscall.EAGAIN
	}
	room := min(len(p), allowed)
	atMark := false
	switch {
	case s.urgent && s.mark == 0:
		s.urgent = false
	case s.urgent && s.mark <= room:
		room, atMark = s.mark, true
	}
	n = copy(p[:room], s.in)
	s.in = s.in[n:]
	if s.urgent {
		s.mark -= n
	}
	if n < len(p) && len(s.in) > 0 && !atMark && !s.unix {
		s.raise(poller.Readable)
	}
	s.peer.roomMade()
	return n, 0
}

// send writes without blocking.
func (s *socket) send(views [][]byte) (n int, errno syscall.Errno) {
	views = views[:min(len(views), sock.MaxViews)]
	size := 0
	for _, v := range views {
		size += len(v)
	}
	allowed := s.network.gate.send(s, min(size, sock.MaxBytes))
	n, errno = s.transmit(views, size, allowed)
	s.network.gate.moved("send", s, n, errno)
	return n, errno
}

func (s *socket) transmit(views [][]byte, size, allowed int) (n int, errno syscall.Errno) {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	switch {
	case s.closed:
		return 0, s.network.misused("send")
	case s.failure != 0:
		return 0, s.takeError()
	case s.shut || s.dead:
		return 0, syscall.EPIPE
	case s.peer.closed && s.unix:
		return 0, syscall.EPIPE
	case size == 0:
		return 0, 0
	case allowed == 0:
		s.full = true
		s.roomMade()
		return 0, syscall.EAGAIN
	case s.peer.closed:
		// The bytes leave, and the answer is RST.
		s.put(views, allowed)
		s.reset()
		return allowed, 0
	}
	n = s.put(views, min(allowed, s.peer.limit-len(s.peer.in)))
	s.full = s.full || n < min(size, allowed)
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	return n, 0
}

// put moves n bytes into the peer's buffer.
func (s *socket) put(views [][]byte, n int) int {
	rest := n
	for _, v := range views {
		part := v[:min(len(v), rest)]
		s.peer.in = append(s.peer.in, part...)
		rest -= len(part)
	}
	s.sent += uint64(n)
	if n > 0 {
		s.peer.raise(poller.Readable)
	}
	return n
}

// roomy tells whether enough room is free to tell a writer of it: a third.
func (s *socket) roomy() bool {
	return (s.peer.limit-len(s.peer.in))*3 >= s.peer.limit
}

// roomMade tells of room in the peer's buffer. TCP tells only those who ran out
// of it, unix sockets everybody.
func (s *socket) roomMade() {
	if s.closed || !s.roomy() || !s.full && !s.unix {
		return
	}
	s.full = false
	s.raise(poller.Writable)
}

// shutdown sends FIN.
func (s *socket) shutdown() syscall.Errno {
	switch {
	case s.dead:
		return syscall.ENOTCONN
	case s.shut:
		return 0
	}
	s.shut = true
	if !s.peer.closed {
		s.peer.fin = true
		s.peer.raise(allReady)
	}
	s.raise(allReady)
	return 0
}

// close ends the socket, with RST if told so or if input was not read.
func (s *socket) close(rst bool) {
	unread := len(s.in) > 0
	s.closed = true
	s.in = nil
	s.forget()
	if s.peer.closed {
		return
	}
	switch {
	case s.unix:
		s.peer.fin, s.peer.shut = true, true
		if unread {
			s.peer.failure = syscall.ECONNRESET
		}
		s.peer.raise(allReady)
	case rst || unread:
		s.peer.reset()
	default:
		s.peer.fin = true
		s.peer.raise(allReady)
	}
	s.changedNow()
}

// reset is what RST from the peer does. What was received can still be read.
func (s *socket) reset() {
	if s.dead || s.closed {
		return
	}
	s.dead = true
	s.failure = syscall.ECONNRESET
	if s.fin {
		s.failure = syscall.EPIPE
	}
	s.raise(allReady)
}

func (s *socket) takeError() syscall.Errno {
	failure := s.failure
	s.failure = 0
	return failure
}

// ready tells what the socket is ready for now. Asking for room arms the
// telling of it.
func (s *socket) ready() (r poller.Ready) {
	if s.listening {
		if len(s.backlog) > 0 {
			r = poller.Readable
		}
		return r
	}
	if len(s.in) > 0 || s.fin || s.dead {
		r |= poller.Readable
	}
	if s.fin || s.dead {
		r |= poller.ReadClosed
	}
	if s.dead || s.fin && s.shut {
		r |= poller.HangUp
	}
	if s.failure != 0 {
		r |= poller.Failed
	}
	if s.urgent {
		r |= poller.Urgent
	}
	switch {
	case s.shut || s.dead || s.roomy():
		r |= poller.Writable
	default:
		s.full = true
	}
	return r
}

// raise tells the pollers that something changed.
func (s *socket) raise(what poller.Ready) {
	for _, r := range s.watched {
		if r.mask&what != 0 {
			r.list()
		}
	}
	s.changedNow()
}

// changedNow rouses clients that wait.
func (s *socket) changedNow() {
	if s.changed != nil {
		s.changed.Broadcast()
	}
}

// forget ends all registrations.
func (s *socket) forget() {
	for _, r := range s.watched {
		r.over = true
	}
	s.watched = nil
}
