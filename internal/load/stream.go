package load

import (
	"bytes"
	"time"
)

// The two directions of an echo connection: what comes back is compared with the pattern,
// and what completes a message makes room for the next.

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
	if d.phase == Measuring {
		d.measured += int64(n)
	}
	for n > 0 {
		taken, from := c.pop(n)
		n -= taken
		if d.counts(from) {
			d.latencies.record(time.Duration(now-from), int64(taken))
		}
	}
}

// counts says whether the latency of a message that has just come back counts. At a fixed
// rate it does if the message was due in the measured time, else if it came back then.
func (d *driver) counts(from int64) bool {
	if d.config.Rate > 0 {
		return from >= d.measuredFrom && from < d.measuredTo
	}
	return d.phase == Measuring
}

// topUp fills the window. False means that the connection has failed.
func (d *driver) topUp(c *conn, now int64) bool {
	owedBefore := c.owed
	switch {
	case d.config.Rate > 0:
		d.fill(c)
	case d.phase != Finishing:
		free := c.room()
		c.push(free, now)
		c.owed += free * d.config.MessageSize
	}
	if owedBefore > 0 {
		return true // the kernel is full; Writable goes on
	}
	return d.flush(c)
}

// flush writes what is owed, as far as the kernel takes it. False means that the
// connection has failed.
func (d *driver) flush(c *conn) bool {
	for c.owed > 0 {
		n, err := d.send(&c.end, d.pattern.window(c.sendAt, min(c.owed, windowMax)))
		if err != nil {
			d.fail(c, "%v", err)
			return false
		}
		if n == 0 {
			return true
		}
		c.owed -= n
		c.sendAt = c.sendAt.plus(n)
	}
	return true
}
