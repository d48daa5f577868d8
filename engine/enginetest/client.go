package enginetest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// client is the blocking end of a connection. Besides net.Conn it has
// CloseWrite, like *net.TCPConn.
type client struct {
	socket *socket

	// Guarded by the network's lock.
	readBy  deadline
	writeBy deadline
}

// deadline is a time that rouses those who wait when it comes.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newClient(s *socket) *client {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	s.changed = sync.NewCond(&s.network.mu)
	return &client{socket: s}
}

// Read implements net.Conn.
func (c *client) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.retry("read", &c.readBy, func() (int, syscall.Errno) { return c.socket.recv(p) })
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *client) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = c.retry("write", &c.writeBy, func() (int, syscall.Errno) { return c.socket.send([][]byte{p[n:]}) })
		n += m
	}
	return n, err
}

// retry repeats a call until it does not say EAGAIN, or the deadline passes.
func (c *client) retry(op string, by *deadline, call func() (int, syscall.Errno)) (int, error) {
	mu := &c.socket.network.mu
	for {
		mu.Lock()
		closed, late := c.socket.closed, by.passed()
		mu.Unlock()
		switch {
		case closed:
			return 0, c.error(op, net.ErrClosed)
		case late:
			return 0, c.error(op, os.ErrDeadlineExceeded)
		}
		n, errno := call()
		switch errno {
		case 0:
			return n, nil
		case syscall.EAGAIN:
			c.await(op, by)
		case syscall.EBADF:
			return 0, c.error(op, net.ErrClosed)
		default:
			return 0, c.error(op, os.NewSyscallError(op, errno))
		}
	}
}

// await waits until the call may do something.
func (c *client) await(op string, by *deadline) {
	s := c.socket
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	for !s.closed && !by.passed() && s.failure == 0 && !s.dead {
		if op == "read" && (len(s.in) > 0 || s.fin) {
			return
		}
		if op == "write" && (s.shut || s.peer.closed || len(s.peer.in) < s.peer.limit) {
			return
		}
		s.changed.Wait()
	}
}

func (c *client) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.socket.local, Addr: c.socket.remote, Err: err}
}

// CloseWrite sends FIN.
func (c *client) CloseWrite() error {
	c.socket.network.mu.Lock()
	defer c.socket.network.mu.Unlock()
	if c.socket.closed {
		return c.error("close", net.ErrClosed)
	}
	if errno := c.socket.shutdown(); errno != 0 {
		return c.error("close", os.NewSyscallError("shutdown", errno))
	}
	return nil
}

// Close implements net.Conn.
func (c *client) Close() error {
	c.socket.network.mu.Lock()
	defer c.socket.network.mu.Unlock()
	if c.socket.closed {
		return c.error("close", net.ErrClosed)
	}
	c.readBy.set(c, time.Time{})
	c.writeBy.set(c, time.Time{})
	c.socket.close(false)
	c.socket.changedNow()
	return nil
}

// LocalAddr implements net.Conn.
func (c *client) LocalAddr() net.Addr { return c.socket.local }

// RemoteAddr implements net.Conn.
func (c *client) RemoteAddr() net.Addr { return c.socket.remote }

// SetDeadline implements net.Conn.
func (c *client) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *client) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readBy, t) }

// SetWriteDeadline implements net.Conn.
func (c *client) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, t) }

func (c *client) setDeadline(d *deadline, t time.Time) error {
	c.socket.network.mu.Lock()
	defer c.socket.network.mu.Unlock()
	if c.socket.closed {
		return c.error("set", net.ErrClosed)
	}
	d.set(c, t)
	c.socket.changedNow()
	return nil
}

// set moves the deadline. The network's lock is held.
func (d *deadline) set(c *client, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			c.socket.network.mu.Lock()
			defer c.socket.network.mu.Unlock()
			c.socket.changedNow()
		})
	}
}
