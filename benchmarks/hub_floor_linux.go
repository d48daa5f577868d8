package main

import (
	"fmt"
	"log"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The floor of the fan-out: a hub that is nothing but event loops, as many as weir
// has, placed and parked as those of the echo floor. A turn of a loop:
//
//  1. poll; when nothing is ready, park on the runtime's own poller
//  2. accept what waits (the first loop only), placing connections in turn
//  3. read the ready connections; whole messages gather in one buffer
//  4. hand what has gathered over to the other loops: a copy that they share, a
//     queue under a mutex, one wake
//  5. take what the others have handed over; write it and what this turn has read
//     to each connection of this loop, in one call per connection
//
// What the kernel does not take waits at the connection, which is closed when that
// is too much.

type floorHub struct {
	size     int
	listener int
	loops    []*hubLoop
	conns    []atomic.Pointer[hubConn] // by descriptor; written by whoever opens or closes it
	accepted int
}

// hubConn belongs to its loop.
type hubConn struct {
	fd    int
	place int    // in the loop's members
	part  []byte // of a message that has not come whole
	rest  []byte // not taken by the kernel yet
}

type hubLoop struct {
	bareLoop
	hub *floorHub

	members []*hubConn
	read    []byte // whole messages of this turn
	out     []byte // room to put them behind those of others

	wake  int // eventfd; edge-triggered, so nobody needs to read it
	mu    sync.Mutex
	queue []handOver
	taken []handOver // the queue of the turn before, reused
}

// handOver is a new member, or messages.
type handOver struct {
	conn     *hubConn
	messages []byte
}

// startFloorHub starts a loop for each P and returns the address.
func startFloorHub(size int) (string, error) {
	most, err := descriptorsMax()
	if err != nil {
		return "", err
	}
	listener, address, err := floorListen()
	if err != nil {
		return "", err
	}
	h := &floorHub{size: size, listener: listener, conns: make([]atomic.Pointer[hubConn], most)}
	for range runtime.GOMAXPROCS(0) {
		l, err := newHubLoop(h)
		if err != nil {
			return "", err
		}
		h.loops = append(h.loops, l)
	}
	if err := h.loops[0].watch(listener, unix.EPOLLIN); err != nil {
		return "", err
	}
	for _, l := range h.loops {
		go l.turns(l.turn)
	}
	return address.String(), nil
}

func newHubLoop(h *floorHub) (*hubLoop, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	l := &hubLoop{hub: h, wake: wake}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, l.watch(wake, unix.EPOLLIN)
}

func (l *hubLoop) turn() {
	l.read = l.read[:0]
	for _, e := range l.events[:l.ready] {
		if int(e.Fd) == l.hub.listener {
			acceptAll(l.hub.listener, l.hub.place)
		} else if c := l.hub.conns[e.Fd].Load(); c != nil {
			l.serve(c, e.Events)
		}
	}
	l.share()
	l.deliver()
}

// place gives a connection to a loop. Only the first loop calls it.
func (h *floorHub) place(fd int) {
	c := &hubConn{fd: fd}
	h.conns[fd].Store(c)
	h.loops[h.accepted%len(h.loops)].hand(handOver{conn: c})
	h.accepted++
}

// hand gives the loop something to do. Any loop may call it.
func (l *hubLoop) hand(o handOver) {
	l.mu.Lock()
	first := len(l.queue) == 0
	l.queue = append(l.queue, o)
	l.mu.Unlock()
	if first {
		one := [8]byte{1}
		if _, errno := rawCall(unix.SYS_WRITE, uintptr(l.wake), uintptr(unsafe.Pointer(&one)), uintptr(len(one)), 0, 0, 0); errno != 0 {
			log.Fatal("floor: wake: ", errno)
		}
	}
}

// serve reads what a ready connection has sent, and goes on with what waits for it.
func (l *hubLoop) serve(c *hubConn, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		c.rest = c.rest[:copy(c.rest, sendBare(c.fd, c.rest))]
		if len(c.rest) == 0 {
			c.rest = nil
		}
	}
	for events&^unix.EPOLLOUT != 0 {
		n, errno := l.receive(c.fd)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return
		case errno != 0, n == 0:
			l.close(c)
			return
		}
		l.gather(c, l.buffer[:n])
		if n < floorBuffer && events&lastBytes == 0 {
			return
		}
	}
}

// gather appends the whole messages of what c has sent.
func (l *hubLoop) gather(c *hubConn, p []byte) {
	size := l.hub.size
	if len(c.part) > 0 {
		n := min(size-len(c.part), len(p))
		c.part = append(c.part, p[:n]...)
		p = p[n:]
		if len(c.part) == size {
			l.read = append(l.read, c.part...)
			c.part = nil
		}
	}
	whole := len(p) - len(p)%size
	l.read = append(l.read, p[:whole]...)
	if whole < len(p) {
		c.part = append(c.part, p[whole:]...)
	}
}

// share hands what this turn has read to the other loops.
func (l *hubLoop) share() {
	if len(l.read) == 0 || len(l.hub.loops) == 1 {
		return
	}
	messages := append([]byte(nil), l.read...)
	for _, other := range l.hub.loops {
		if other != l {
			other.hand(handOver{messages: messages})
		}
	}
}

// deliver writes what the others have handed over, and what this turn has read, to
// every member.
func (l *hubLoop) deliver() {
	l.mu.Lock()
	l.queue, l.taken = l.taken[:0], l.queue
	l.mu.Unlock()
	l.out = l.out[:0]
	for i, o := range l.taken {
		if o.conn != nil {
			l.join(o.conn)
		}
		l.out = append(l.out, o.messages...)
		l.taken[i] = handOver{}
	}
	l.out = append(l.out, l.read...)
	if len(l.out) == 0 {
		return
	}
	for i := len(l.members) - 1; i >= 0; i-- { // closing one moves the last to its place
		c := l.members[i]
		if len(c.rest) > 0 {
			c.rest = append(c.rest, l.out...)
		} else if rest := sendBare(c.fd, l.out); len(rest) > 0 {
			c.rest = append(c.rest, rest...)
		}
		if len(c.rest) > hubBacklog {
			l.close(c)
		}
	}
}

func (l *hubLoop) join(c *hubConn) {
	c.place = len(l.members)
	l.members = append(l.members, c)
	if err := l.watch(c.fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP); err != nil {
		log.Fatal("floor: ", err)
	}
}

func (l *hubLoop) close(c *hubConn) {
	last := l.members[len(l.members)-1]
	l.members[c.place], last.place = last, c.place
	l.members[len(l.members)-1] = nil
	l.members = l.members[:len(l.members)-1]
	l.hub.conns[c.fd].Store(nil)
	unix.Close(c.fd)
}
