package engine

import "time"

// A departure sends a loop's sessions away one after the other over the time of
// WithDrainSpread, so that clients that come back elsewhere do not all come at once.
// Until it is its turn a session lives on as before.
type departure struct {
	ids   []uint64 // in the order in which they go; nil: there is no departure
	gone  int      // of these
	began time.Time
	gap   time.Duration
}

// depart begins the departure of the sessions that are there, unless it has begun.
func (l *loop) depart() {
	if l.departure.ids != nil {
		return
	}
	d := departure{ids: []uint64{}}
	for slot := range l.slots.count() {
		if c := l.slots.at(slot); c.session.Load() != nil && c.flags&(fresh|gone) == 0 {
			d.ids = append(d.ids, c.id)
		}
	}
	if n := len(d.ids); n > 0 {
		d.gap = l.engine.options.spread / time.Duration(n)
		d.began = l.clock.Now().Add(d.gap * time.Duration(l.index) / time.Duration(len(l.engine.loops))) // loops take turns
	}
	l.departure = d
	l.sendNextAway()
}

// next is when the next session goes; zero if none is left.
func (d *departure) next() time.Time {
	if d.gone == len(d.ids) {
		return time.Time{}
	}
	return d.began.Add(time.Duration(d.gone) * d.gap)
}

// sendNextAway sends those away whose time has come.
func (l *loop) sendNextAway() {
	for d := &l.departure; ; {
		at := d.next()
		if at.IsZero() || l.now.Before(at) {
			return
		}
		d.gone++
		if c := l.find(d.ids[d.gone-1]); c != nil {
			l.sendAway(c)
		}
	}
}
