package load

import (
	"fmt"
)

// The phases of a fan-out load.

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
	d.schedule.open(now, r.Rate)
	d.enter(WarmingUp, now)
	d.tick(now) // there may be no warm-up
}

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
	if d.load.InFlight > 0 && d.phase != Finishing && !d.settled && d.phaseEnd > d.schedule.beganAt {
		return d.phaseEnd + int64(d.load.Patience)
	}
	return d.phaseEnd
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
