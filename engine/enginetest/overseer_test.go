package enginetest

import "time"

// overseer looks after workers, as the engine's does in real time.
type overseer struct {
	sim  *simulation
	look func() (again bool)
	at   time.Time // of the next look; zero: when roused
}

// overseerTick is the time between two looks.
const overseerTick = time.Millisecond

// take is what the engine is given to be overseen by.
func (o *overseer) take(look func() (again bool)) (rouse func()) {
	o.look = look
	return func() {
		if o.at.IsZero() {
			o.at = o.sim.now.Add(overseerTick)
		}
	}
}

func (o *overseer) String() string { return "" }

func (o *overseer) ready() bool { return !o.wakes().IsZero() && !o.sim.now.Before(o.at) }

func (o *overseer) wakes() time.Time {
	if o.sim.over() {
		return time.Time{}
	}
	return o.at
}

func (o *overseer) step() {
	o.sim.note("the overseer looks")
	o.at = time.Time{}
	if o.look() {
		o.at = o.sim.now.Add(overseerTick)
	}
}
