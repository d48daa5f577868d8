package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// wire is what every driver has of the system: sockets that one poller watches, a buffer
// to read into, an alarm and a clock. It belongs to one goroutine, but for connect, whose
// workers each set the ends of their own, and what cancelOn starts.
//
// It costs as little as a load can: no goroutine per connection, no clock per message, and
// one read for a connection that has not filled the buffer.
type wire struct {
	sockets sock.System
	poller  poller.Poller
	buffer  []byte
	events  []poller.Event
	alarm   *alarm
	alarmAt int64

	began     time.Time // the clock counts nanoseconds since then
	yieldAt   int64
	cancelled atomic.Bool
}

// end is our end of one connection.
type end struct {
	fd       int // -1 once closed
	interest poller.Interest
	token    poller.Token
}

const (
	eventsMax = 1024      // events per turn
	readMax   = windowMax // bytes per read

	// yieldEvery is after how long a driver that always finds work lets other
	// goroutines of the process run.
	yieldEvery = int64(time.Millisecond)

	// alarmToken is the alarm's; connections count from 0.
	alarmToken = poller.Reserved - 1
)

// openWire makes a wire for that many connections.
func openWire(connections int) (*wire, error) {
	p, err := poller.Open()
	if err != nil {
		return nil, err
	}
	w := &wire{
		sockets: sock.Kernel(),
		poller:  p,
		buffer:  make([]byte, readMax),
		events:  make([]poller.Event, min(eventsMax, connections+1)),
		began:   time.Now(),
	}
	if w.alarm, err = newAlarm(p, alarmToken); err != nil {
		p.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) close() {
	w.alarm.close()
	w.poller.Close()
}

// now reads the clock.
func (w *wire) now() int64 { return int64(time.Since(w.began)) }

// cancelOn notes when ctx ends, and ends the wait that is under way then. Call stop when
// nobody asks any more.
func (w *wire) cancelOn(ctx context.Context) (stop func() bool) {
	w.cancelled.Store(false)
	return context.AfterFunc(ctx, func() {
		w.cancelled.Store(true)
		_ = w.poller.Wake() // it fails when the run has ended, which is as good
	})
}

// wait sleeps until something happens or the clock shows until, and returns what has
// happened. The slice is valid until the next wait.
func (w *wire) wait(until int64) ([]poller.Event, error) {
	n, err := w.poller.Park(w.events, w.began.Add(time.Duration(until)))
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return w.events[:n], nil
}

// ring has a wait end at that time, more exactly than its own end does.
func (w *wire) ring(at int64) {
	if at != w.alarmAt {
		w.alarm.set(time.Duration(at - w.now()))
		w.alarmAt = at
	}
}

// yield lets others run, if it is time.
func (w *wire) yield(now int64) {
	if now >= w.yieldAt {
		runtime.Gosched()
		w.yieldAt = now + yieldEvery
	}
}

// connect opens n connections and takes their descriptors over; at names the end of each.
func (w *wire) connect(ctx context.Context, address string, n int, at func(i int) *end) error {
	dialer, err := newDialer(address)
	if err != nil {
		return err
	}
	return dialer.each(ctx, 0, n, func(_ context.Context, i int, c net.Conn) error {
		defer c.Close()
		fd, err := takeOver(c)
		if err != nil {
			return err
		}
		at(i).fd = fd
		return nil
	})
}

// watch has the poller tell of what there is to read.
func (w *wire) watch(e *end) error {
	e.interest = poller.Read
	if err := w.poller.Add(e.fd, e.interest, e.token); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

// receive reads once. Nothing means that nothing is there; the end of the stream is
// io.EOF. What it returns is valid until the next call.
func (w *wire) receive(e *end) ([]byte, error) {
	for {
		n, errno := w.sockets.Recv(e.fd, w.buffer)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return nil, nil
		case errno != 0:
			return nil, fmt.Errorf("read: %w", errno)
		case n == 0:
			return nil, io.EOF
		default:
			return w.buffer[:n], nil
		}
	}
}

// emptied says whether a read that brought got has left nothing in the socket. Drain is
// set by events after which a short read proves nothing.
func (w *wire) emptied(got []byte, drain bool) bool { return len(got) < len(w.buffer) && !drain }

// send writes p once and returns how much the kernel took. If that is nothing the poller
// will tell when there is room.
func (w *wire) send(e *end, p []byte) (int, error) {
	for {
		n, errno := w.sockets.Send(e.fd, p)
		switch errno {
		case 0:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, w.awaitWritable(e)
		default:
			return 0, fmt.Errorf("write: %w", errno)
		}
	}
}

// awaitWritable asks to be told of Writable, once and for good. Not from the start,
// because a unix socket raises it with every read of its peer.
func (w *wire) awaitWritable(e *end) error {
	if e.interest&poller.Write != 0 {
		return nil
	}
	e.interest |= poller.Write
	return w.poller.Modify(e.fd, e.interest, e.token)
}

// hangUp closes the connection, unless it is closed; with RST if reset is set.
func (w *wire) hangUp(e *end, reset bool) {
	if e.fd < 0 {
		return
	}
	if reset {
		closeWithReset(w.sockets, e.fd)
	} else {
		w.sockets.Close(e.fd)
	}
	e.fd = -1
}
