package load

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/poller"
)

// fanDriver puts a hub under load from one goroutine. Its cost is kept below that of
// any hub, since both share the machine: one read per ready connection, one
// comparison per read, no clock per message. A turn:
//
//  1. publish what is due, one write per publisher
//  2. wait
//  3. read the ready connections, compare, count who has got how far
//
// All of it belongs to one goroutine, but for connect, whose workers each set the
// descriptors of their own, and cancelled.
type fanDriver struct {
	config     FanConfig
	sockets    sock.System
	poller     poller.Poller
	alarm      *alarm
	buffer     []byte
	events     []poller.Event
	conns      []fanConn // publishers first
	publishers []fanPublisher
	size       int64
	broken     error // what has ended an earlier run

	// The clock counts nanoseconds since the driver was made.
	began time.Time

	// The run.
	fanRun
	yieldAt   int64
	cancelled atomic.Bool
	verified  int64
}

// fanRun is what begins anew with each run.
type fanRun struct {
	load   FanRun
	report func(Progress)

	phase        Phase
	phaseEnd     int64
	settled      bool  // a message was finished in the last turn
	measuredFrom int64 // messages due from here on count,
	measuredTo   int64 // up to here; both are the far future until known

	beganAt int64

	// A fixed rate: the next message, counted over all publishers.
	interval float64 // nanoseconds
	next     int64
	alarmAt  int64

	sent       int64 // messages, in this run
	deliveries int64 // in the measured time
	messages   int64
	last       histogram
	each       histogram
	late       histogram
	err        error
}

// fanConn is one connection; it may be a publisher's.
type fanConn struct {
	fd       int // -1 once closed
	id       int
	interest poller.Interest

	at      []int64 // bytes received of each publisher's stream
	from    int     // whose message is under way
	partial int64   // bytes of it that have come
}

const never = 1 << 62 // on the driver's clock

// lookEvery is after how many ready connections a driver looks whether a message is
// due at a fixed rate: a tenth of a millisecond or so.
const lookEvery = 64

func newFanDriver(c FanConfig) (*fanDriver, error) {
	p, err := poller.Open()
	if err != nil {
		return nil, err
	}
	all := c.Publishers + c.Subscribers
	d := &fanDriver{
		config:     c,
		sockets:    sock.Kernel(),
		poller:     p,
		buffer:     make([]byte, readMax),
		events:     make([]poller.Event, min(eventsMax, all+1)),
		conns:      make([]fanConn, all),
		publishers: make([]fanPublisher, c.Publishers),
		size:       int64(c.MessageSize),
		began:      time.Now(),
	}
	pattern := newPattern()
	for i := range d.publishers {
		d.publishers[i] = fanPublisher{id: i, size: d.size, pattern: pattern}
	}
	at := make([]int64, all*c.Publishers)
	for i := range d.conns {
		d.conns[i] = fanConn{fd: -1, id: i, at: at[i*c.Publishers : (i+1)*c.Publishers : (i+1)*c.Publishers]}
	}
	return d, nil
}

// register adds all connections, and the alarm, to the poller.
func (d *fanDriver) register() error {
	for i := range d.conns {
		c := &d.conns[i]
		c.interest = poller.Read
		if err := d.poller.Add(c.fd, c.interest, poller.Token(i)); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	var err error
	d.alarm, err = newAlarm(d.poller, poller.Token(len(d.conns)))
	return err
}

func (d *fanDriver) close() {
	for i := range d.conns {
		if c := &d.conns[i]; c.fd >= 0 {
			closeWithReset(d.sockets, c.fd)
			c.fd = -1
		}
	}
	d.alarm.close()
	d.poller.Close()
}

func (d *fanDriver) run(ctx context.Context, r FanRun, report func(Progress)) (FanResult, error) {
	if d.broken != nil {
		return FanResult{}, d.broken
	}
	d.cancelled.Store(false)
	stop := context.AfterFunc(ctx, func() {
		d.cancelled.Store(true)
		_ = d.poller.Wake() // it fails when the run has ended, which is as good
	})
	defer stop()

	d.begin(r, report)
	for {
		now := d.now()
		d.tick(now)
		d.publish(now)
		if d.cancelled.Load() {
			d.err = ctx.Err()
		}
		if d.err != nil || d.done() {
			break
		}
		d.wait(now)
	}
	d.broken = d.err
	return d.result(), d.err
}

func (d *fanDriver) begin(r FanRun, report func(Progress)) {
	d.fanRun = fanRun{
		load: r, report: report, measuredFrom: never, measuredTo: never,
		last: newHistogram(), each: newHistogram(), late: newHistogram(),
	}
	d.verified = 0
	for i := range d.publishers {
		d.publishers[i].open(r.window(), len(d.conns))
	}
	now := d.now()
	d.beganAt = now
	if r.Rate > 0 {
		d.interval = float64(time.Second) / r.Rate
	}
	d.enter(WarmingUp, now)
	d.tick(now) // there may be no warm-up
}

// now reads the driver's clock.
func (d *fanDriver) now() int64 { return int64(time.Since(d.began)) }

// enter begins a phase.
func (d *fanDriver) enter(p Phase, now int64) {
	d.phase = p
	d.phaseEnd = now + int64(d.load.length(p))
	switch p {
	case Measuring:
		d.measuredFrom = now
	case Finishing:
		d.measuredTo = now
	}
	d.report(Progress{Phase: p, Messages: d.sent})
}

// done says whether nothing more can come. What is unfinished after all patience
// is an error.
func (d *fanDriver) done() bool {
	if d.phase != Finishing || d.due(d.measuredTo) {
		return false
	}
	for i := range d.publishers {
		if p := &d.publishers[i]; p.finished != p.published {
			return false
		}
	}
	return true
}

// wait sleeps until something happens and takes what has come.
func (d *fanDriver) wait(now int64) {
	n, err := d.poller.Park(d.events, d.deadline())
	if err != nil {
		d.err = fmt.Errorf("load: %w", err)
		return
	}
	for i, e := range d.events[:n] {
		if d.load.Rate > 0 && i%lookEvery == lookEvery-1 {
			d.publish(d.now())
		}
		if int(e.Token) == len(d.conns) {
			continue // the alarm
		}
		c := &d.conns[e.Token]
		if e.Ready&poller.Writable != 0 && c.id < len(d.publishers) {
			d.flush(c)
		}
		if e.Ready&^poller.Writable != 0 {
			d.read(c, e.Ready&poller.MustDrain != 0)
		}
		if d.err != nil {
			return
		}
	}
	if now >= d.yieldAt {
		runtime.Gosched()
		d.yieldAt = now + yieldEvery
	}
}

// tick moves on to the next phase if it is due.
func (d *fanDriver) tick(now int64) {
	over := now >= d.overAt()
	switch d.phase {
	case WarmingUp:
		if over {
			d.enter(Measuring, now)
		}
	case Measuring:
		if over || d.load.Messages > 0 && d.sent >= d.load.Messages {
			d.enter(Finishing, now)
		}
	case Finishing:
		if over {
			d.err = d.unfinished()
		}
	}
	d.settled = false
}

// overAt is when the phase ends unless something happens. The measured time of a
// window begins and ends with a message that is finished: deliveries come in bunches
// of a window, which may last longer than the time that was asked for.
func (d *fanDriver) overAt() int64 {
	if d.load.InFlight > 0 && d.phase != Finishing && !d.settled && d.phaseEnd > d.beganAt {
		return d.phaseEnd + int64(d.load.Patience)
	}
	return d.phaseEnd
}

// unfinished names the first connection that lacks a message.
func (d *fanDriver) unfinished() error {
	for i := range d.publishers {
		p := &d.publishers[i]
		for j := range d.conns {
			if c := &d.conns[j]; c.at[i] < p.end() {
				return fmt.Errorf("load: %s lacks message %d of publisher %d, %v after the last of %d was sent",
					d.name(c), c.at[i]/d.size, i, d.load.Patience, p.published)
			}
		}
	}
	return fmt.Errorf("load: not all messages were sent within %v", d.load.Patience)
}

func (d *fanDriver) name(c *fanConn) string {
	if c.id < len(d.publishers) {
		return fmt.Sprintf("publisher %d", c.id)
	}
	return fmt.Sprintf("subscriber %d", c.id-len(d.publishers))
}

func (d *fanDriver) fail(c *fanConn, format string, args ...any) {
	d.err = fmt.Errorf("load: "+d.name(c)+": "+format, args...)
}

// publish sends what is due.
func (d *fanDriver) publish(now int64) {
	if d.load.Rate > 0 {
		for until := min(now+1, d.measuredTo); d.due(until) && d.rateRoom() > 0; {
			due := d.dueAt(d.next)
			d.publishers[d.next%int64(len(d.publishers))].publish(due)
			d.next++
			d.sent++
			if d.counts(due) {
				d.late.record(time.Duration(now-due), 1)
			}
		}
	} else if d.phase != Finishing {
		for i := range d.publishers {
			p := &d.publishers[i]
			for n := p.room(); n > 0 && (d.load.Messages == 0 || d.sent < d.load.Messages); n-- {
				p.publish(now)
				d.sent++
			}
		}
	}
	for i := range d.publishers {
		if p := &d.publishers[i]; p.flushed < p.end() {
			d.flush(&d.conns[i])
		}
	}
}

// dueAt is when message k is to be sent at a fixed rate.
func (d *fanDriver) dueAt(k int64) int64 { return d.beganAt + int64(float64(k)*d.interval) }

// due says whether a message of a fixed rate is to be sent before until.
func (d *fanDriver) due(until int64) bool {
	return d.load.Rate > 0 && d.dueAt(d.next) < until && (d.load.Messages == 0 || d.sent < d.load.Messages)
}

// rateRoom is how many messages the publisher whose turn it is may publish.
func (d *fanDriver) rateRoom() int64 {
	return d.publishers[d.next%int64(len(d.publishers))].room()
}

// counts says whether a message that was due then belongs to the measured time.
func (d *fanDriver) counts(dueAt int64) bool {
	return dueAt >= d.measuredFrom && dueAt < d.measuredTo
}

// deadline is when the driver has something to do by itself.
func (d *fanDriver) deadline() time.Time {
	at := d.overAt()
	if d.due(d.measuredTo) && d.rateRoom() > 0 && d.dueAt(d.next) < at {
		at = d.dueAt(d.next)
		if at != d.alarmAt {
			d.alarm.set(time.Duration(at - d.now()))
			d.alarmAt = at
		}
	}
	return d.began.Add(time.Duration(at))
}

// flush writes what a publisher owes, as far as the kernel takes it.
func (d *fanDriver) flush(c *fanConn) {
	p := &d.publishers[c.id]
	for p.flushed < p.end() {
		view := p.view(p.flushed, p.end())
		n, errno := d.sockets.Send(c.fd, view[:min(len(view), sock.MaxBytes)])
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			d.awaitWritable(c)
			return
		case errno != 0:
			d.fail(c, "write: %v", errno)
			return
		default:
			p.flushed += int64(n)
		}
	}
}

// awaitWritable asks to be told of Writable, once and for good.
func (d *fanDriver) awaitWritable(c *fanConn) {
	if c.interest&poller.Write != 0 {
		return
	}
	c.interest |= poller.Write
	if err := d.poller.Modify(c.fd, c.interest, poller.Token(c.id)); err != nil {
		d.fail(c, "%v", err)
	}
}

// read takes what has arrived. Unless drain is set, a read that does not fill the
// buffer has emptied the socket.
func (d *fanDriver) read(c *fanConn, drain bool) {
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
			d.fail(c, "closed by the hub")
			return
		}
		if !d.take(c, d.buffer[:n]) || n < len(d.buffer) && !drain {
			return
		}
	}
}

// take compares what has arrived with what was sent. With one publisher that is
// one comparison; with more, one per message. False means that it is wrong.
func (d *fanDriver) take(c *fanConn, got []byte) bool {
	for len(got) > 0 {
		if c.partial == 0 {
			c.from = int(got[0])
			if c.from >= len(d.publishers) {
				d.fail(c, "a message of publisher %d, whom nobody knows", c.from)
				return false
			}
		}
		p := &d.publishers[c.from]
		at := c.at[c.from]
		to := min(at+int64(len(got)), p.end())
		if len(d.publishers) > 1 {
			to = min(to, at+d.size-c.partial)
		}
		want := p.view(at, to)
		if len(want) == 0 {
			d.fail(c, "more came than was sent: %d bytes after message %d of publisher %d", len(got), p.published-1, c.from)
			return false
		}
		if !bytes.Equal(got[:len(want)], want) {
			d.fail(c, "%s", p.explain(got, at))
			return false
		}
		got = got[len(want):]
		at += int64(len(want))
		c.at[c.from] = at
		c.partial = at % d.size
		d.verified += int64(len(want))
		d.arrived(c, p, (at-int64(len(want)))/d.size, at/d.size)
	}
	return true
}

// arrived counts the messages from before (included) to after (excluded).
func (d *fanDriver) arrived(c *fanConn, p *fanPublisher, before, after int64) {
	if before == after {
		return
	}
	if c.id >= len(d.publishers) {
		if d.phase == Measuring {
			d.deliveries += after - before
		}
		if d.load.Rate > 0 {
			d.recordEach(p, before, after)
		}
	}
	if p.move(before, after) {
		d.recordLast(p)
	}
}

func (d *fanDriver) recordEach(p *fanPublisher, before, after int64) {
	now := d.now()
	for k := before; k < after; k++ {
		if due := p.dueAt[k%p.window]; d.counts(due) {
			d.each.record(time.Duration(now-due), 1)
		}
	}
}

func (d *fanDriver) recordLast(p *fanPublisher) {
	now := d.now()
	for {
		due, ok := p.finish()
		if !ok {
			return
		}
		d.settled = true
		if d.counts(due) {
			d.messages++
			d.last.record(time.Duration(now-due), 1)
		}
	}
}

func (d *fanDriver) result() FanResult {
	r := FanResult{
		Deliveries: d.deliveries,
		Messages:   d.messages,
		Last:       d.last.latency(),
		Each:       d.each.latency(),
		Late:       d.late.latency(),
		Sent:       d.publishers[0].published,
		Verified:   d.verified,
	}
	if d.measuredTo != never {
		r.Duration = time.Duration(d.measuredTo - d.measuredFrom)
		r.DeliveriesPerSecond = float64(r.Deliveries) / r.Duration.Seconds()
	}
	return r
}
