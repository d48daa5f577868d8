package load

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/weirnet/weir/poller"
)

// driver runs one echo load: a closed loop, or an open one at a fixed rate. A turn:
//
//  1. send what is due (open loop only; offer.go)
//  2. wait
//  3. read the ready connections, compare, count, and send what follows from it
//     (stream.go)
//  4. tell progress, enter the next phase (phase.go)
//
// All of it belongs to the goroutine of Run, but for what wire says.
type driver struct {
	*wire
	clock
	config   Config
	pattern  pattern
	schedule schedule

	conns []conn
	open  int

	// What has been seen.
	messages  int64 // since the beginning
	measured  int64 // in the measured time
	verified  int64
	latencies histogram
	late      histogram // by how much the load missed the moment, at a fixed rate
	missing   int64     // messages unanswered at the end
	trouble
}

func newDriver(c Config, progress func(Progress)) (*driver, error) {
	w, err := openWire(c.Connections)
	if err != nil {
		return nil, err
	}
	d := &driver{
		wire:      w,
		clock:     newClock(c, progress),
		config:    c,
		pattern:   newPattern(),
		conns:     make([]conn, c.Connections),
		latencies: newHistogram(),
		late:      newHistogram(),
	}
	rings := make([]int64, c.Connections*c.Depth)
	for i := range d.conns {
		d.conns[i] = conn{
			end:    end{fd: -1, token: poller.Token(i)},
			id:     i,
			sendAt: startOf(i),
			echoAt: startOf(i),
			from:   rings[i*c.Depth : (i+1)*c.Depth : (i+1)*c.Depth],
		}
	}
	return d, nil
}

// connect opens all connections.
func (d *driver) connect(ctx context.Context) error {
	return d.wire.connect(ctx, d.config.Address, len(d.conns), func(i int) *end { return &d.conns[i].end })
}

// close gives everything back that newDriver and connect took.
func (d *driver) close() {
	for i := range d.conns {
		d.hangUp(&d.conns[i].end, d.config.Reset)
	}
	d.wire.close()
}

// run drives the connections through the phases.
func (d *driver) run(ctx context.Context) error {
	stop := d.cancelOn(ctx)
	defer stop()

	d.open = len(d.conns)
	for i := range d.conns {
		if err := d.watch(&d.conns[i].end); err != nil {
			return err
		}
	}
	d.begin()
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

// begin starts the clock of the phases, and sends the first windows.
func (d *driver) begin() {
	now := d.now()
	d.schedule.open(now, d.config.Rate)
	d.enter(WarmingUp, now, 0)
	if d.config.Rate == 0 {
		for i := range d.conns {
			d.topUp(&d.conns[i], d.now())
		}
	}
}

// turn waits for something to happen and does what follows from it.
func (d *driver) turn() error {
	if d.config.Rate > 0 {
		d.offer(d.now())
	}
	events, err := d.wait(d.nextAt())
	if err != nil {
		return err
	}
	for i, e := range events {
		if d.config.Rate > 0 && i%lookEvery == lookEvery-1 {
			d.offer(d.now())
		}
		if e.Token == alarmToken {
			continue
		}
		c := &d.conns[e.Token]
		if c.fd >= 0 && e.Ready&poller.Writable != 0 {
			d.flush(c)
		}
		if c.fd >= 0 && e.Ready&^poller.Writable != 0 {
			d.read(c, e.Ready&poller.MustDrain != 0)
		}
	}

	now := d.now()
	d.tick(now, d.messages)
	d.yield(now)
	return nil
}

// read takes what has come back.
func (d *driver) read(c *conn, drain bool) {
	for {
		got, err := d.receive(&c.end)
		switch {
		case err == io.EOF:
			d.fail(c, "closed by the server with %d messages in flight", c.inFlight)
			return
		case err != nil:
			d.fail(c, "%v", err)
			return
		case len(got) == 0:
			return
		}
		if !d.take(c, got) || d.emptied(got, drain) {
			return
		}
	}
}

// fail notes what went wrong with a connection and closes it.
func (d *driver) fail(c *conn, format string, args ...any) {
	d.note(fmt.Sprintf("connection %d: ", c.id) + fmt.Sprintf(format, args...))
	d.hangUp(&c.end, d.config.Reset)
	d.open--
}

// done says whether nothing more can come.
func (d *driver) done() bool {
	if d.open == 0 {
		return true
	}
	if d.phase != Finishing {
		return false
	}
	now := d.now()
	return now >= d.phaseEnd || !d.schedule.due(min(now, d.measuredTo)) && d.unanswered() == 0
}

func (d *driver) unanswered() (messages int64) {
	for i := range d.conns {
		if d.conns[i].fd >= 0 {
			messages += d.conns[i].unanswered()
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
		Rate:        d.config.Rate,
		Messages:    d.measured,
		Bytes:       d.measured * int64(d.config.MessageSize),
		Duration:    time.Duration(d.took),
		Latency:     d.latencies.latency(),
		Late:        d.late.latency(),
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
