package load

import "time"

// The open loop. Message k of the schedule belongs to connection k modulo the number of
// connections. A connection whose window is full sends later what became due meanwhile;
// the others go on.

// lookEvery is after how many ready connections a driver looks whether a message is
// due at a fixed rate: a tenth of a millisecond or so.
const lookEvery = 64

// offer sends what has become due.
func (d *driver) offer(now int64) {
	s := &d.schedule
	for until := min(now+1, d.measuredTo); s.due(until); s.next++ {
		dueAt := s.at(s.next)
		if d.counts(dueAt) {
			d.late.record(time.Duration(now-dueAt), 1)
		}
		c := &d.conns[s.next%int64(len(d.conns))]
		if c.fd < 0 {
			continue
		}
		c.due++
		d.topUp(c, now)
	}
}

// fill puts messages that are due into the window, as many as it has room for.
func (d *driver) fill(c *conn) {
	for c.begun < c.due && c.room() > 0 {
		c.push(1, d.schedule.at(c.begun*int64(len(d.conns))+int64(c.id)))
		c.owed += d.config.MessageSize
		c.begun++
	}
}

// nextAt is when the driver has something to do by itself.
func (d *driver) nextAt() int64 {
	at := d.wakeAt
	if d.schedule.due(min(d.measuredTo, at)) {
		at = d.schedule.at(d.schedule.next)
		d.ring(at)
	}
	return at
}
