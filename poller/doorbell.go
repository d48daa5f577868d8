package poller

import "sync/atomic"

// doorbell decides who has to do what for a Wake. The owner tells when it goes
// to sleep; whoever rings learns whether there is somebody to rouse. A Wake for
// an owner that is awake, or that has been roused already, costs one atomic
// operation and no system call.
//
//	          sleep                     ring: rouse
//	awake ──────────────► asleep ──────────────────────► rung
//	  ▲  │                  │                              │
//	  │  └── ring ──────────┼─────────────────────────────►│
//	  └─────────────────────┴───────── clear ◄─────────────┘
//
// From every state close leads to closed, which is final.
type doorbell struct {
	state atomic.Uint32
}

const (
	awake uint32 = iota
	asleep
	rung
	closed
)

// ring records a Wake. Any goroutine may call it. If rouse is true, the caller
// must end the owner's sleep; of all who ring during one sleep, one is told so.
func (d *doorbell) ring() (rouse bool, err error) {
	for {
		state := d.state.Load()
		switch state {
		case rung:
			return false, nil
		case closed:
			return false, ErrClosed
		}
		if d.state.CompareAndSwap(state, rung) {
			return state == asleep, nil
		}
	}
}

// sleep reports whether the owner may wait: false if somebody has rung. All that
// rouse undoes, such as a deadline, must have been set up before.
func (d *doorbell) sleep() bool {
	return d.state.CompareAndSwap(awake, asleep)
}

// clear forgets what was rung; the owner calls it before it returns to the
// caller, who then looks at everything that a Wake could have been about.
func (d *doorbell) clear() {
	if d.state.Load() != awake {
		d.state.Swap(awake)
	}
}

// close makes every later ring fail. It reports whether it was open.
func (d *doorbell) close() bool {
	return d.state.Swap(closed) != closed
}

// isClosed is for the owner, who alone closes.
func (d *doorbell) isClosed() bool {
	return d.state.Load() == closed
}
