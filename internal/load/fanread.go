package load

import (
	"bytes"
	"io"
	"time"
)

// What arrives at the connections of a fan-out load: compared with the publishers' rings,
// and counted.

// read takes what has arrived.
func (d *fanDriver) read(c *fanConn, drain bool) {
	for {
		got, err := d.receive(&c.end)
		switch {
		case err == io.EOF:
			d.fail(c, "closed by the hub")
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
			d.fail(c, "%s", p.explainSurplus(got))
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
