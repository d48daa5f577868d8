package load

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

const (
	eventsMax     = 1024      // events per turn
	readMax       = windowMax // bytes per read
	progressEvery = time.Second

	// yieldEvery is after how long a driver that always finds work lets other
	// goroutines of the process run.
	yieldEvery = int64(time.Millisecond)
)

// driver runs one load. All of it belongs to the goroutine of Run, but for
// connect, whose workers each write the conns of their own, and cancelled.
type driver struct {
	config  Config
	sockets sock.System
	poller  poller.Poller
	pattern pattern
	buffer  []byte
	events  []poller.Event
	report  func(Progress)

	conns []conn
	open  int

	// The clock counts nanoseconds since the driver was made.
	began    time.Time
	phase    Phase
	phaseAt  int64 // when the phase began
	phaseEnd int64
	tickAt   int64 // when progress is told next
	wakeAt   int64 // the earlier of the two; a turn after that looks at them
	yieldAt  int64

	cancelled atomic.Bool

	// What has been seen.
	messages  int64 // since the beginning
	measured  int64 // in the measured time
	took      int64 // the measured time, nanoseconds
	verified  int64
	latencies histogram
	missing   int64 // messages unanswered at the end
	errors    []string
	errorsAll int
}

func newDriver(c Config, progress func(Progress)) (*driver, error) {
	p, err := poller.Open()
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	d := &driver{
		config:    c,
		sockets:   sock.Kernel(),
		poller:    p,
		pattern:   newPattern(),
		buffer:    make([]byte, readMax),
		events:    make([]poller.Event, min(eventsMax, c.Connections)),
		report:    progress,
		conns:     make([]conn, c.Connections),
		latencies: newHistogram(),
		began:     time.Now(),
	}
	rings := make([]int64, c.Connections*c.Depth)
	for i := range d.conns {
		d.conns[i] = conn{
			fd:     -1,
			id:     i,
			sendAt: startOf(i),
			echoAt: startOf(i),
			sentAt: rings[i*c.Depth : (i+1)*c.Depth : (i+1)*c.Depth],
		}
	}
	return d, nil
}

// connect opens all connections and takes their descriptors over.
func (d *driver) connect(ctx context.Context) error {
	dialer, err := newDialer(d.config.Address)
	if err != nil {
		return err
	}
	return dialer.each(ctx, 0, len(d.conns), func(_ context.Context, i int, c net.Conn) error {
		defer c.Close()
		fd, err := takeOver(c)
		if err != nil {
			return err
		}
		d.conns[i].fd = fd
		return nil
	})
}

// close gives everything back that newDriver and connect took.
func (d *driver) close() {
	for i := range d.conns {
		d.closeConn(&d.conns[i])
	}
	d.poller.Close()
}

func (d *driver) closeConn(c *conn) {
	if c.fd < 0 {
		return
	}
	if d.config.Reset {
		closeWithReset(d.sockets, c.fd)
	} else {
		d.sockets.Close(c.fd)
	}
	c.fd = -1
}

// run drives the connections through the phases.
func (d *driver) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		d.cancelled.Store(true)
		_ = d.poller.Wake() // it fails when the run has ended, which is as good
	})
	defer stop()

	d.open = len(d.conns)
	d.enter(WarmingUp, d.now())
	for i := range d.conns {
		if err := d.start(&d.conns[i]); err != nil {
			return err
		}
	}
	for !d.done() {
		if d.cancelled.Load() {
			d.leave(d.now())
			return ctx.Err()
		}
		if err := d.turn(); err != nil {
			return err
		}
	}
	d.leave(d.now())
	d.countUnanswered()
	return nil
}

// start registers a connection and sends its first window.
func (d *driver) start(c *conn) error {
	c.interest = poller.Read
	if err := d.poller.Add(c.fd, c.interest, poller.Token(c.id)); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	d.topUp(c, d.now())
	return nil
}

// turn waits for something to happen and does what follows from it.
func (d *driver) turn() error {
	n, err := d.poller.Park(d.events, d.began.Add(time.Duration(d.wakeAt)))
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	for _, e := range d.events[:n] {
		c := &d.conns[e.Token]
		if c.fd >= 0 && e.Ready&poller.Writable != 0 {
			d.flush(c)
		}
		if c.fd >= 0 && e.Ready&^poller.Writable != 0 {
			d.read(c, e.Ready&poller.MustDrain != 0)
		}
	}

	now := d.now()
	if now >= d.wakeAt {
		d.tick(now)
	}
	if now >= d.yieldAt {
		runtime.Gosched()
		d.yieldAt = now + yieldEvery
	}
	return nil
}

// read takes what has come back. Unless drain is set, a read that does not fill
// the buffer has emptied the socket.
func (d *driver) read(c *conn, drain bool) {
	for {
		n, errno := d.sockets.Recv(c.fd, d.buffer)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return
		case errno != 0:
			d.fail(c, "read: %v", errno)
			return
		case n == 0:
			d.fail(c, "closed by the server with %d messages in flight", c.inFlight)
			return
		}
		if !d.take(c, d.buffer[:n]) {
			return
		}
		if n < len(d.buffer) && !drain {
			return
		}
	}
}

// take verifies what came back, counts the messages that it completes, and sends
// as many new ones. False means that the connection has failed.
func (d *driver) take(c *conn, got []byte) bool {
	size := d.config.MessageSize
	if expected := c.expected(size); len(got) > expected {
		d.fail(c, "%d bytes came back where %d were expected", len(got), expected)
		return false
	}
	want := d.pattern.window(c.echoAt, len(got))
	if !bytes.Equal(got, want) {
		i := mismatch(got, want)
		d.verified += int64(i)
		d.fail(c, "wrong byte: 0x%02x came back where 0x%02x was sent", got[i], want[i])
		return false
	}
	c.echoAt = c.echoAt.plus(len(got))
	d.verified += int64(len(got))

	complete := (c.partial + len(got)) / size
	c.partial = (c.partial + len(got)) % size
	if complete == 0 {
		return true
	}
	now := d.now()
	d.count(c, complete, now)
	return d.topUp(c, now)
}

func mismatch(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// count takes n answered messages out of the window.
func (d *driver) count(c *conn, n int, now int64) {
	d.messages += int64(n)
	measuring := d.phase == Measuring
	if measuring {
		d.measured += int64(n)
	}
	for n > 0 {
		taken, sentAt := c.pop(n)
		n -= taken
		if measuring {
			d.latencies.record(time.Duration(now-sentAt), int64(taken))
		}
	}
}

// topUp fills the window. False means that the connection has failed.
func (d *driver) topUp(c *conn, now int64) bool {
	if d.phase == Finishing {
		return true
	}
	free := len(c.sentAt) - c.inFlight
	c.push(free, now)
	owedBefore := c.owed
	c.owed += free * d.config.MessageSize
	if owedBefore > 0 {
		return true // the kernel is full; Writable goes on
	}
	return d.flush(c)
}

// flush writes what is owed, as far as the kernel takes it. False means that the
// connection has failed.
func (d *driver) flush(c *conn) bool {
	for c.owed > 0 {
		n, errno := d.sockets.Send(c.fd, d.pattern.window(c.sendAt, min(c.owed, windowMax)))
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return d.awaitWritable(c)
		case errno != 0:
			d.fail(c, "write: %v", errno)
			return false
		}
		c.owed -= n
		c.sendAt = c.sendAt.plus(n)
	}
	return true
}

// awaitWritable asks to be told of Writable, once and for good. Not from the
// start, because a unix socket raises it with every read of its peer.
func (d *driver) awaitWritable(c *conn) bool {
	if c.interest&poller.Write != 0 {
		return true
	}
	c.interest |= poller.Write
	if err := d.poller.Modify(c.fd, c.interest, poller.Token(c.id)); err != nil {
		d.fail(c, "%v", err)
		return false
	}
	return true
}

// fail notes what went wrong with a connection and closes it.
func (d *driver) fail(c *conn, format string, args ...any) {
	d.note(fmt.Sprintf("connection %d: ", c.id) + fmt.Sprintf(format, args...))
	d.closeConn(c)
	d.open--
}

func (d *driver) note(text string) {
	d.errorsAll++
	if len(d.errors) < errorsMax {
		d.errors = append(d.errors, text)
	}
}

// now reads the driver's clock.
func (d *driver) now() int64 { return int64(time.Since(d.began)) }

// tick tells progress and moves on to the next phase, whichever is due.
func (d *driver) tick(now int64) {
	switch {
	case now < d.phaseEnd:
	case d.phase == WarmingUp:
		d.enter(Measuring, now)
		return
	case d.phase == Measuring:
		d.leave(now)
		d.enter(Finishing, now)
		return
	}
	if now >= d.tickAt {
		d.tell(now)
		d.tickAt += int64(progressEvery)
	}
	d.wakeAt = min(d.tickAt, d.phaseEnd)
}

// enter begins a phase.
func (d *driver) enter(p Phase, now int64) {
	d.phase = p
	d.phaseAt = now
	d.phaseEnd = now + int64(d.config.length(p))
	d.tickAt = now + int64(progressEvery)
	d.wakeAt = min(d.tickAt, d.phaseEnd)
	d.tell(now)
}

// leave ends the phase at now.
func (d *driver) leave(now int64) {
	if d.phase == Measuring {
		d.took = now - d.phaseAt
	}
}

func (d *driver) tell(now int64) {
	d.report(Progress{Phase: d.phase, Messages: d.messages, Elapsed: time.Duration(now - d.phaseAt)})
}

// done says whether nothing more can come.
func (d *driver) done() bool {
	if d.open == 0 {
		return true
	}
	if d.phase != Finishing {
		return false
	}
	return d.now() >= d.phaseEnd || d.unanswered() == 0
}

func (d *driver) unanswered() (messages int64) {
	for i := range d.conns {
		if d.conns[i].fd >= 0 {
			messages += int64(d.conns[i].inFlight)
		}
	}
	return messages
}

func (d *driver) countUnanswered() {
	d.missing = d.unanswered()
	if d.missing > 0 {
		d.note(fmt.Sprintf("%d messages had no answer within %v of the end", d.missing, d.config.Patience))
	}
}

func (d *driver) result() Result {
	r := Result{
		Connections: d.config.Connections,
		MessageSize: d.config.MessageSize,
		Depth:       d.config.Depth,
		Messages:    d.measured,
		Bytes:       d.measured * int64(d.config.MessageSize),
		Duration:    time.Duration(d.took),
		Latency:     d.latencies.latency(),
		Verified:    d.verified,
		Unanswered:  d.missing,
		Errors:      d.errors,
		ErrorCount:  d.errorsAll,
	}
	if d.took > 0 {
		r.RoundTripsPerSecond = float64(d.measured) / time.Duration(d.took).Seconds()
	}
	return r
}
