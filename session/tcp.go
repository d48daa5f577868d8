package session

import (
	"fmt"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
)

// TCP is a view of a session's TCP options. Any goroutine may use it, also when
// the session has closed: every method then returns ErrClosed. Other errors are
// the kernel's, and errors.ErrUnsupported where the system lacks the option.
type TCP struct{ s *Session }

// TCP returns the session's TCP options, or ErrNotSupported if it is a unix
// socket.
func (s *Session) TCP() (TCP, error) {
	if !s.remote.IsValid() {
		return TCP{}, ErrNotSupported
	}
	return TCP{s}, nil
}

// SetNoDelay sets TCP_NODELAY: small writes leave at once instead of waiting for
// what was sent before to be acknowledged.
func (t TCP) SetNoDelay(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return t.set(sock.NoDelay, value)
}

// NoDelay reads TCP_NODELAY.
func (t TCP) NoDelay() (bool, error) {
	value, err := t.read(sock.NoDelay)
	return value != 0, err
}

// keepAliveMax is the longest keep-alive time that Linux takes.
const keepAliveMax = 32767 * time.Second

// SetKeepAlive sets for how long nothing may come before the peer is probed, from 1 s to
// 32767 s in whole seconds; probes then follow each third of it. 0 switches them off. Where only the system as
// a whole has such a time (OpenBSD) the probes are switched on all the same,
// and the error is errors.ErrUnsupported.
func (t TCP) SetKeepAlive(d time.Duration) error {
	switch {
	case d == 0:
		return t.set(sock.KeepAlive, 0)
	case d < time.Second || d > keepAliveMax:
		return fmt.Errorf("session: keep-alive of %v: must be 0 (off) or from 1s to 32767s", d)
	}
	return t.with(func(link transport.Link) error {
		if err := link.SetOption(sock.KeepAlive, 1); err != nil {
			return err
		}
		return link.SetOption(sock.KeepAliveSeconds, int(d/time.Second))
	})
}

// KeepAlive reads the idle time before the first keep-alive probe; 0 is off.
func (t TCP) KeepAlive() (d time.Duration, err error) {
	err = t.with(func(link transport.Link) error {
		on, err := link.Option(sock.KeepAlive)
		if err != nil || on == 0 {
			return err
		}
		seconds, err := link.Option(sock.KeepAliveSeconds)
		d = time.Duration(seconds) * time.Second
		return err
	})
	return d, err
}

// SetLinger sets what the kernel does when the descriptor is closed: with -1, the
// default, it goes on sending what it holds; with 0 it drops that and sends RST.
// A waiting close, which other values ask for, would hold up the loop.
func (t TCP) SetLinger(seconds int) error {
	if seconds != -1 && seconds != 0 {
		return fmt.Errorf("session: linger of %d seconds: must be -1 (off) or 0; see Close for one that waits", seconds)
	}
	return t.set(sock.Linger, seconds)
}

// Linger reads what SetLinger set, in seconds.
func (t TCP) Linger() (seconds int, err error) { return t.read(sock.Linger) }

// SetReadBuffer sets the size of the kernel's receive buffer, in bytes. The
// kernel may take another size; Linux reads back twice the value.
func (t TCP) SetReadBuffer(bytes int) error { return t.setBuffer("read", sock.RecvBuffer, bytes) }

// ReadBuffer reads the size of the kernel's receive buffer, in bytes.
func (t TCP) ReadBuffer() (bytes int, err error) { return t.read(sock.RecvBuffer) }

// SetWriteBuffer sets the size of the kernel's send buffer, in bytes, like
// SetReadBuffer. What the session has queued does not count.
func (t TCP) SetWriteBuffer(bytes int) error { return t.setBuffer("write", sock.SendBuffer, bytes) }

// WriteBuffer reads the size of the kernel's send buffer, in bytes.
func (t TCP) WriteBuffer() (bytes int, err error) { return t.read(sock.SendBuffer) }

func (t TCP) setBuffer(name string, o sock.Option, bytes int) error {
	if bytes < 1 {
		return fmt.Errorf("session: %s buffer of %d bytes: must be at least 1", name, bytes)
	}
	return t.set(o, bytes)
}

func (t TCP) set(o sock.Option, value int) error {
	return t.with(func(link transport.Link) error { return link.SetOption(o, value) })
}

func (t TCP) read(o sock.Option) (value int, err error) {
	err = t.with(func(link transport.Link) error {
		value, err = link.Option(o)
		return err
	})
	return value, err
}

// with calls f with the session's link and a count on it.
func (t TCP) with(f func(transport.Link) error) error {
	link, err := t.s.use()
	if err != nil {
		return err
	}
	defer link.Release()
	return f(link)
}
