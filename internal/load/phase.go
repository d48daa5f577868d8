package load

import "time"

// clock takes a load through its phases, and tells its progress. Times are nanoseconds on
// the clock of the wire.
type clock struct {
	times  Config // how long the phases last
	report func(Progress)

	phase    Phase
	phaseAt  int64 // when the phase began
	phaseEnd int64
	tickAt   int64 // when progress is told next
	wakeAt   int64 // the earlier of the two; a turn after that looks at them

	// The measured time; the far future until known.
	measuredFrom int64
	measuredTo   int64
	took         int64
}

const (
	progressEvery = time.Second
	never         = 1 << 62
)

func newClock(times Config, report func(Progress)) clock {
	if report == nil {
		report = func(Progress) {}
	}
	return clock{times: times, report: report, measuredFrom: never, measuredTo: never}
}

// tick tells progress and moves on to the next phase, whichever is due.
func (c *clock) tick(now, messages int64) {
	if now < c.wakeAt {
		return
	}
	switch {
	case now < c.phaseEnd:
	case c.phase == WarmingUp:
		c.enter(Measuring, now, messages)
		return
	case c.phase == Measuring:
		c.leave(now)
		c.enter(Finishing, now, messages)
		return
	}
	if now >= c.tickAt {
		c.tell(now, messages)
		c.tickAt += int64(progressEvery)
	}
	c.wakeAt = min(c.tickAt, c.phaseEnd)
}

// enter begins a phase.
func (c *clock) enter(p Phase, now, messages int64) {
	c.phase = p
	c.phaseAt = now
	c.phaseEnd = now + int64(c.times.length(p))
	c.tickAt = now + int64(progressEvery)
	c.wakeAt = min(c.tickAt, c.phaseEnd)
	switch p {
	case Measuring:
		c.measuredFrom = now
	case Finishing:
		c.measuredTo = now
	}
	c.tell(now, messages)
}

// leave ends the phase at now.
func (c *clock) leave(now int64) {
	if c.phase == Measuring {
		c.took = now - c.phaseAt
	}
}

func (c *clock) tell(now, messages int64) {
	c.report(Progress{Phase: c.phase, Messages: messages, Elapsed: time.Duration(now - c.phaseAt)})
}
