package engine

import (
	"slices"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Where loops run handlers, one of these may end the loop's goroutine in the middle of a
// turn: runtime.Goexit, which testing's FailNow is, cannot be stopped as a panic can. The
// handler's session ends, and the loop goes on with another goroutine:
//
//  1. left starts it
//  2. resume has it look at everything again. It may: what a session wants is a level,
//     not an event, and a descriptor may be read at any time
//
// What only local variables knew is kept in fields of the loop while handlers may run.

// interruption is what a loop is about to do with one session, and nobody else knows of.
type interruption struct {
	opening *conn            // its session opens
	closing *conn            // its session closes, which is running
	running *session.Session // its handlers run; it has left all lists
}

// left is the end of a loop's goroutine.
func (l *loop) left(returned bool, panicked any) {
	switch {
	case returned:
		l.engine.loopEnded()
	case panicked != nil:
		panic(panicked)
	default:
		l.interrupted = true
		go l.run()
	}
}

// resume finds what the interrupted turn had still to do. At the end handlers may run
// again, and one of them may interrupt this, too.
func (l *loop) resume() {
	l.interrupted = false
	l.segment.Release() // what the handler was shown may be referred to
	l.segment, l.used = l.engine.pool.Get(l.engine.options.readSize), 0
	l.marked = slices.DeleteFunc(l.marked, func(c *conn) bool { return c == nil })
	l.repost()
	l.relist()
	l.obeyed = min(l.obeyed, l.order.Load()-1) // carry it out again
	l.mail.knock()
	l.endInterruption()
	l.noteNews()
}

// repost puts back what was taken from the mailbox.
func (l *loop) repost() {
	l.mail.errands.Repost()
	l.mail.leave(&l.caster.errand) // a codec may have ended it
	for l.letters != nil {
		c := l.letters
		l.letters = c.next
		l.mail.push(c)
	}
}

// relist has every conn read, written, looked at and timed.
func (l *loop) relist() {
	l.ready, l.dirty = l.ready[:0], l.dirty[:0]
	for slot := range l.slots.count() {
		c := l.slots.at(slot)
		if c.session.Load() == nil || c.flags&(fresh|gone) != 0 {
			continue
		}
		c.flags &^= listed | dirty
		c.flags |= readable | mustDrain
		if c.flags&ending == 0 && c.drive().Look()&(transport.Paused|transport.Throttled|transport.Full) != 0 {
			c.flags |= paused // as its status says when the mail is taken
		}
		l.listReady(c)
		l.listDirty(c)
		l.mail.post(c)
		if c.timer.isSet() {
			l.wheel.set(slot, c.timer.due) // later, if its tick was the interrupted one
		} else {
			l.schedule(c)
		}
	}
}

// endInterruption finishes what was being done with one session.
func (l *loop) endInterruption() {
	was := l.broken
	l.broken = interruption{}
	l.serves.Store(nil)
	switch {
	case was.opening != nil:
		l.opened(was.opening, was.opening.drive().Opened())
	case l.queue != nil && was.running != nil:
		l.due = append(l.due, was.running)
	case was.closing != nil:
		l.broken = was
		l.serves.Store(was.running)
		driver := session.Drive(was.running, transport.Key{})
		for driver.Run(&l.engine.shared) {
		}
		l.serves.Store(nil)
		l.broken = interruption{}
		reason, opened := driver.Ended()
		l.closed(was.closing, was.running, reason, opened)
	}
}
