package netconn

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/session"
)

// A side is one direction of a Conn: who waits there, and until when. A call goes like
// this:
//
//  1. begin forgets what has been told so far, and looks at the deadline
//  2. the session is asked; that does not wait
//  3. if it has nothing, wait until told: by the session, by Close, by a new deadline, or
//     by the timer, which is set only while somebody waits
//
// and again from 1. Whatever happens after 1 is either seen in 2, or told in 3.
type side struct {
	use      sync.Mutex    // one call at a time
	wake     chan struct{} // has a value when it is worth trying again
	timer    *time.Timer   // tells when it is time to look; nil before the first wait
	patience time.Duration // see suspicious

	mu       sync.Mutex
	deadline time.Time // zero: none
}

const (
	// suspicious is how long somebody waits before he is asked whether he is the loop that
	// he waits for, which takes microseconds. Each time that he is not, the next one may
	// wait twice as long, up to patient.
	suspicious = 10 * time.Millisecond
	patient    = time.Second

	// retry is how often somebody asks again for room that the engine as a whole lacks.
	retry = 10 * time.Millisecond
)

func (d *side) init() { d.wake, d.patience = make(chan struct{}, 1), suspicious }

// tell lets whoever waits try again.
func (d *side) tell() {
	select {
	case d.wake <- struct{}{}:
	default: // he has been told
	}
}

// set sets the deadline, for calls under way, too. A time that has passed is a deadline.
func (d *side) set(t time.Time) {
	if !t.IsZero() {
		t = time.Now().Add(time.Until(t)) // by the clock that nobody sets
	}
	d.mu.Lock()
	d.deadline = t
	d.mu.Unlock()
	d.tell()
}

// left is how long it is until the deadline; false if there is none.
func (d *side) left() (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deadline.IsZero() {
		return 0, false
	}
	return time.Until(d.deadline), true
}

// begin is step 1.
func (d *side) begin(closed *atomic.Bool) error {
	select {
	case <-d.wake:
	default:
	}
	if closed.Load() {
		return net.ErrClosed
	}
	if left, ok := d.left(); ok && left <= 0 {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait is step 3. Again says that the call has waited before, elsewhere that nobody will
// tell.
func (d *side) wait(again bool, t *session.Tap, elsewhere bool) error {
	if again {
		if onLoop(t) {
			return session.ErrDeadlock
		}
		d.patience = min(2*d.patience, patient)
	}
	limit, timed := d.left()
	if !again && (!timed || limit > d.patience) {
		limit, timed = d.patience, true
	}
	if elsewhere && (!timed || limit > retry) {
		limit, timed = retry, true
	}
	if timed {
		d.alarm(limit)
		defer d.timer.Stop()
	}
	<-d.wake
	return nil
}

// alarm has the side told after some time.
func (d *side) alarm(after time.Duration) {
	if d.timer == nil {
		d.timer = time.AfterFunc(after, d.tell)
	} else {
		d.timer.Reset(after)
	}
}

// onLoop tells whether the caller is one of the loops of the tap's engine.
func onLoop(t *session.Tap) bool {
	shared := t.Shared()
	return shared != nil && shared.OnLoop()
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the time from which on Read fails instead of waiting, also one that
// waits now; the zero value sets none.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.in, t) }

// SetWriteDeadline does the same for Write, which then may have written a part.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.out, t) }

func (c *Conn) setDeadline(d *side, t time.Time) error {
	if c.closed.Load() {
		return c.failure("set", net.ErrClosed)
	}
	d.set(t)
	return nil
}
