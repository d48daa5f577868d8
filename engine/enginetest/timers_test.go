package enginetest

import (
	"slices"
	"time"
)

// timers are those of the engine's clients; see inject.Deps. What one calls runs on a
// goroutine of its own, when the scheduler says so.
type timers struct {
	sim  *simulation
	list []*timer
}

type timer struct {
	at   time.Time
	call func()
}

// after is inject.Deps.AfterFunc.
func (x *timers) after(d time.Duration, call func()) (stop func() bool) {
	t := &timer{x.sim.now.Add(d), call}
	x.list = append(x.list, t)
	return func() bool { return x.remove(t) }
}

// remove reports false if the timer is not set any more.
func (x *timers) remove(t *timer) bool {
	i := slices.Index(x.list, t)
	if i < 0 {
		return false
	}
	x.list = slices.Delete(x.list, i, i+1)
	return true
}

func (x *timers) String() string { return "" }

func (x *timers) ready() bool { return len(x.due()) > 0 }

func (x *timers) due() (list []*timer) {
	for _, t := range x.list {
		if !x.sim.now.Before(t.at) {
			list = append(list, t)
		}
	}
	return list
}

func (x *timers) wakes() (first time.Time) {
	for _, t := range x.list {
		if first.IsZero() || t.at.Before(first) {
			first = t.at
		}
	}
	return first
}

// step has one that is due go off.
func (x *timers) step() {
	t := pick(x.sim.draws, x.due()...)
	x.remove(t)
	x.sim.hands.hire(false, t.call)
}
