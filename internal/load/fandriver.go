package load

import (
	"context"
	"fmt"
	"time"

	"github.com/weirnet/weir/poller"
)

// fanDriver puts a hub under load from one goroutine. Its cost is kept below that of
// any hub, since both share the machine: one read per ready connection, one
// comparison per read, no clock per message. A turn:
//
//  1. look at the clock: the next phase (fanphase.go)
//  2. publish what is due, one write per publisher (fanpublish.go)
//  3. wait
//  4. read the ready connections, compare, count who has got how far (fanread.go)
//
// All of it belongs to one goroutine, but for what wire says.
type fanDriver struct {
	*wire
	config     FanConfig
	conns      []fanConn // publishers first
	publishers []fanPublisher
	size       int64
	broken     error // what has ended an earlier run

	// The run.
	fanRun
	verified int64
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

	schedule schedule // over all publishers

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
	end
	id int

	at      []int64 // bytes received of each publisher's stream
	from    int     // whose message is under way
	partial int64   // bytes of it that have come
}

func newFanDriver(c FanConfig) (*fanDriver, error) {
	all := c.Publishers + c.Subscribers
	w, err := openWire(all)
	if err != nil {
		return nil, err
	}
	d := &fanDriver{
		wire:       w,
		config:     c,
		conns:      make([]fanConn, all),
		publishers: make([]fanPublisher, c.Publishers),
		size:       int64(c.MessageSize),
	}
	pattern := newPattern()
	for i := range d.publishers {
		d.publishers[i] = fanPublisher{id: i, size: d.size, pattern: pattern}
	}
	at := make([]int64, all*c.Publishers)
	for i := range d.conns {
		d.conns[i] = fanConn{end: end{fd: -1, token: poller.Token(i)}, id: i, at: at[i*c.Publishers : (i+1)*c.Publishers : (i+1)*c.Publishers]}
	}
	return d, nil
}

// connect opens all connections.
func (d *fanDriver) connect(ctx context.Context) error {
	err := d.wire.connect(ctx, d.config.Address, len(d.conns), func(i int) *end { return &d.conns[i].end })
	for i := range d.conns {
		if err == nil {
			err = d.watch(&d.conns[i].end)
		}
	}
	return err
}

func (d *fanDriver) close() {
	for i := range d.conns {
		d.hangUp(&d.conns[i].end, true)
	}
	d.wire.close()
}

func (d *fanDriver) run(ctx context.Context, r FanRun, report func(Progress)) (FanResult, error) {
	if d.broken != nil {
		return FanResult{}, d.broken
	}
	stop := d.cancelOn(ctx)
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
		d.turn(now)
	}
	d.broken = d.err
	return d.result(), d.err
}

// turn sleeps until something happens and takes what has come.
func (d *fanDriver) turn(now int64) {
	events, err := d.wait(d.nextAt())
	if err != nil {
		d.err = err
		return
	}
	for i, e := range events {
		if d.load.Rate > 0 && i%lookEvery == lookEvery-1 {
			d.publish(d.now())
		}
		if e.Token == alarmToken {
			continue
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
	d.yield(now)
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
