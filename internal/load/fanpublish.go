package load

import (
	"time"

	"github.com/weirnet/weir/internal/sock"
)

// What a fan-out load sends: a window of messages, or what is due at a fixed rate.

// publish sends what is due.
func (d *fanDriver) publish(now int64) {
	if d.load.Rate > 0 {
		for until := min(now+1, d.measuredTo); d.due(until) && d.rateRoom() > 0; {
			due := d.schedule.at(d.schedule.next)
			d.publishers[d.schedule.next%int64(len(d.publishers))].publish(due)
			d.schedule.next++
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

// due says whether a message of a fixed rate is to be sent before until.
func (d *fanDriver) due(until int64) bool {
	return d.schedule.due(until) && (d.load.Messages == 0 || d.sent < d.load.Messages)
}

// rateRoom is how many messages the publisher whose turn it is may publish.
func (d *fanDriver) rateRoom() int64 {
	return d.publishers[d.schedule.next%int64(len(d.publishers))].room()
}

// counts says whether a message that was due then belongs to the measured time.
func (d *fanDriver) counts(dueAt int64) bool {
	return dueAt >= d.measuredFrom && dueAt < d.measuredTo
}

// nextAt is when the driver has something to do by itself.
func (d *fanDriver) nextAt() int64 {
	at := d.overAt()
	if d.due(min(d.measuredTo, at)) && d.rateRoom() > 0 {
		at = d.schedule.at(d.schedule.next)
		d.ring(at)
	}
	return at
}

// flush writes what a publisher owes, as far as the kernel takes it.
func (d *fanDriver) flush(c *fanConn) {
	p := &d.publishers[c.id]
	for p.flushed < p.end() {
		view := p.view(p.flushed, p.end())
		n, err := d.send(&c.end, view[:min(len(view), sock.MaxBytes)])
		if err != nil {
			d.fail(c, "%v", err)
		}
		if n == 0 {
			return
		}
		p.flushed += int64(n)
	}
}
