//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/weirnet/weir/session"
)

// What servers and their clients say to each other: frames of 4 bytes of length and the
// payload, whose first byte is the verb. Each is answered, in order.
//
//	e ...            echo: answered as it is
//	j NAME           join a group; answered as it is
//	p NAME 0 BYTES   publish BYTES to a group; answered with the verb
//	s NAME           answered with the group's session.GroupStats in JSON
//	n                have the kernel keep little of what is sent; answered as it is
//	x                panic
const (
	verbEcho    = 'e'
	verbJoin    = 'j'
	verbPublish = 'p'
	verbStats   = 's'
	verbNarrow  = 'n'
	verbPanic   = 'x'
)

const (
	headBytes   = 4       // of a frame
	numberBytes = 8       // of the number at the beginning of what is counted
	payloadMax  = 1 << 20 // nothing here is longer
	narrowBytes = 8 << 10 // of the kernel's buffers for a peer that is slow
)

// patience is for whatever should take no time. More means that something was lost.
const patience = 20 * time.Second

// link is a client's connection, with package net. Its methods may be called from two
// goroutines: one that sends and one that receives.
type link struct {
	*net.TCPConn
	in []byte
}

// dial connects; narrow has the kernel keep little of what is received.
func dial(address string, narrow bool) (*link, error) {
	d := net.Dialer{Timeout: patience, KeepAlive: -1}
	if narrow {
		d.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			failed := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, narrowBytes)
			})
			return errors.Join(failed, err)
		}
	}
	c, err := d.Dial("tcp4", address)
	if err != nil {
		return nil, err
	}
	return &link{TCPConn: c.(*net.TCPConn)}, nil
}

// frameOf appends a payload's frame to p.
func frameOf(p []byte, payload ...[]byte) []byte {
	at := len(p)
	p = append(p, 0, 0, 0, 0)
	for _, part := range payload {
		p = append(p, part...)
	}
	binary.BigEndian.PutUint32(p[at:], uint32(len(p)-at-headBytes))
	return p
}

// send sends one frame.
func (l *link) send(payload ...[]byte) error {
	if err := l.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := l.Write(frameOf(nil, payload...))
	return err
}

// receive returns the next payload, which is valid until the next call.
func (l *link) receive() ([]byte, error) {
	if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var head [headBytes]byte
	if _, err := io.ReadFull(l, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > payloadMax {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	if cap(l.in) < n {
		l.in = make([]byte, n)
	}
	l.in = l.in[:n]
	_, err := io.ReadFull(l, l.in)
	return l.in, err
}

// ask sends a frame and wants it back.
func (l *link) ask(payload []byte) error {
	if err := l.send(payload); err != nil {
		return err
	}
	got, err := l.receive()
	if err != nil {
		return err
	}
	if string(got) != string(payload) {
		return fmt.Errorf("sent %.40q, got %.40q", payload, got)
	}
	return nil
}

// group asks for a group's counters.
func (l *link) group(name string) (st session.GroupStats, err error) {
	if err := l.send([]byte{verbStats}, []byte(name)); err != nil {
		return st, err
	}
	got, err := l.receive()
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(got, &st)
}

// reset closes with RST.
func (l *link) reset() {
	_ = l.SetLinger(0) // it fails if the peer was faster
	_ = l.Close()
}

// finish closes with FIN and waits for the peer's.
func (l *link) finish() error {
	defer l.Close()
	if err := l.CloseWrite(); err != nil {
		return err
	}
	if p, err := l.receive(); err != io.EOF {
		return fmt.Errorf("after the end: %.40q, %v", p, err)
	}
	return nil
}

// numbered returns an echo of a size with a number in front, at least as long as that
// takes.
func numbered(number uint64, size int) []byte {
	p := make([]byte, max(size, 1+numberBytes))
	p[0] = verbEcho
	binary.BigEndian.PutUint64(p[1:], number)
	for i := 1 + numberBytes; i < len(p); i++ {
		p[i] = byte(number) + byte(i)
	}
	return p
}

// numberOf returns the number of an echo, if it is whole.
func numberOf(p []byte) (uint64, error) {
	if len(p) < 1+numberBytes {
		return 0, fmt.Errorf("a message of %d bytes", len(p))
	}
	number := binary.BigEndian.Uint64(p[1:])
	if string(numbered(number, len(p))) != string(p) {
		return 0, fmt.Errorf("message %d is not as it was sent", number)
	}
	return number, nil
}
