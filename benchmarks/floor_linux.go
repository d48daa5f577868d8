package main

import (
	"log"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The floor: an echo server that is nothing but event loops. What an engine adds is what
// it loses against this. A turn of a loop:
//
//  1. poll; when nothing is ready, park on the runtime's own poller (floor_loop_linux.go)
//  2. accept what waits (the first loop only), placing connections in turn
//  3. for each ready connection: read into the loop's buffer and write it back,
//     until a read comes up short
//  4. after a turn that did not park, let other goroutines run
//
// It serves echo only, TCP only, and ends the process on any error that is not a
// connection's own.

const floorSpin = 50 * time.Microsecond

// floor is the server; conns, by descriptor, is written by whoever opens or
// closes that descriptor and read by its loop.
type floor struct {
	listener int
	loops    []*floorLoop
	conns    []atomic.Pointer[floorConn]
	accepted int
}

// floorConn belongs to its loop.
type floorConn struct {
	fd   int
	rest []byte // read, but not taken by the kernel for writing yet
}

type floorLoop struct {
	bareLoop
	floor *floor
}

func startFloor() (string, error)         { return newFloor(0) }
func startSpinningFloor() (string, error) { return newFloor(floorSpin) }

// newFloor starts a loop for each P and returns the address.
func newFloor(spin time.Duration) (string, error) {
	most, err := descriptorsMax()
	if err != nil {
		return "", err
	}
	listener, address, err := floorListen()
	if err != nil {
		return "", err
	}
	f := &floor{listener: listener, conns: make([]atomic.Pointer[floorConn], most)}
	for range runtime.GOMAXPROCS(0) {
		l := &floorLoop{floor: f, bareLoop: bareLoop{spin: spin}}
		if err := l.open(); err != nil {
			return "", err
		}
		f.loops = append(f.loops, l)
	}
	if err := f.loops[0].watch(listener, unix.EPOLLIN); err != nil {
		return "", err
	}
	for _, l := range f.loops {
		go l.turns(l.turn)
	}
	return address.String(), nil
}

func (l *floorLoop) turn() {
	for _, e := range l.events[:l.ready] {
		if int(e.Fd) == l.floor.listener {
			acceptAll(l.floor.listener, l.floor.place)
		} else if c := l.floor.conns[e.Fd].Load(); c != nil {
			l.serve(c, e.Events)
		}
	}
}

// place gives a connection to a loop. Only the first loop calls it.
func (f *floor) place(fd int) {
	f.conns[fd].Store(&floorConn{fd: fd})
	l := f.loops[f.accepted%len(f.loops)]
	f.accepted++
	if err := l.watch(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP); err != nil {
		log.Fatal("floor: ", err)
	}
}

// serve echoes what a ready connection has to read.
func (l *floorLoop) serve(c *floorConn, events uint32) {
	if !c.flush() {
		return
	}
	for {
		n, errno := l.receive(c.fd)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return
		case errno != 0, n == 0:
			l.floor.close(c)
			return
		}
		if rest := sendBare(c.fd, l.buffer[:n]); len(rest) > 0 {
			c.rest = append(c.rest[:0], rest...)
			return
		}
		if n < floorBuffer && events&lastBytes == 0 {
			return
		}
	}
}

// flush writes what is left of earlier turns and says whether all of it went out.
func (c *floorConn) flush() bool {
	if len(c.rest) > 0 {
		c.rest = c.rest[:copy(c.rest, sendBare(c.fd, c.rest))]
	}
	return len(c.rest) == 0
}

func (f *floor) close(c *floorConn) {
	f.conns[c.fd].Store(nil)
	unix.Close(c.fd)
}
