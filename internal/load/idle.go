package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/weirnet/weir/internal/sock"
)

// idleMessage is the size of the one echo on each idle connection, in bytes.
const idleMessage = 64

// idlePatience bounds that echo. A server that takes longer is not answering.
const idlePatience = 10 * time.Second

// Idle holds connections to an echo server that have echoed once and are silent
// since. Its methods belong to one goroutine.
type Idle struct {
	dialer  dialer
	sockets sock.System
	pattern pattern
	fds     []int
	probes  int
}

// NewIdle prepares for connections to address, as in Config; it opens none.
func NewIdle(address string) (*Idle, error) {
	d, err := newDialer(address)
	if err != nil {
		return nil, err
	}
	return &Idle{dialer: d, sockets: sock.Kernel(), pattern: newPattern()}, nil
}

// Len is how many connections are held.
func (l *Idle) Len() int { return len(l.fds) }

// Grow opens connections until total are held, with one verified echo on each.
// After an error those that were opened are still held.
func (l *Idle) Grow(ctx context.Context, total int) error {
	from := len(l.fds)
	if total <= from {
		return nil
	}
	opened := make([]int, total-from)
	for i := range opened {
		opened[i] = -1
	}
	err := l.dialer.each(ctx, from, total, func(ctx context.Context, i int, c net.Conn) error {
		defer c.Close()
		if err := l.echo(ctx, i, c); err != nil {
			return err
		}
		fd, err := takeOver(c)
		if err != nil {
			return err
		}
		opened[i-from] = fd
		return nil
	})
	for _, fd := range opened {
		if fd >= 0 {
			l.fds = append(l.fds, fd)
		}
	}
	return err
}

// Probe opens one more connection, echoes on it, closes it, and says how long the
// dial and the echo took together.
func (l *Idle) Probe(ctx context.Context) (time.Duration, error) {
	l.probes++
	start := time.Now()
	c, err := l.dialer.dial(ctx, l.probes)
	if err != nil {
		return 0, fmt.Errorf("load: probe: %w", err)
	}
	defer c.Close()
	if err := l.echo(ctx, l.probes, c); err != nil {
		return 0, fmt.Errorf("load: probe: %w", err)
	}
	return time.Since(start), nil
}

// Disturbed is how many of the connections are not silent: the server has closed
// them, or sent something unasked. The question costs a read on each.
func (l *Idle) Disturbed() int {
	var b [1]byte
	disturbed := 0
	for _, fd := range l.fds {
		if _, errno := l.sockets.Recv(fd, b[:]); errno != syscall.EAGAIN {
			disturbed++
		}
	}
	return disturbed
}

// Close closes all connections, with RST, so that no port is left in TIME_WAIT.
func (l *Idle) Close() {
	for _, fd := range l.fds {
		closeWithReset(l.sockets, fd)
	}
	l.fds = nil
}

// echo sends one message and compares what comes back.
func (l *Idle) echo(ctx context.Context, i int, c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(idlePatience)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	message := l.pattern.window(startOf(i), idleMessage)
	if _, err := c.Write(message); err != nil {
		return err
	}
	var got [idleMessage]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	if !bytes.Equal(got[:], message) {
		return errors.New("echo: other bytes came back than were sent")
	}
	return nil
}
