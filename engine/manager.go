package engine

import "github.com/weirnet/weir/session"

// What an engine knows of all its sessions. They live in the loops' tables; see
// slots.go. There is no list besides that could say something else.

// Session returns the session with this id from its place on a loop until its
// OnClose, or ErrNotFound.
func (e *Engine) Session(id uint64) (*session.Session, error) {
	index := (id & placeMask) % uint64(len(e.loops))
	if s := e.loops[index].slots.session(id); s != nil {
		return s, nil
	}
	return nil, ErrNotFound
}

// Sessions calls yield with the sessions that are there, until it returns false.
// Sessions that come or go meanwhile may be missed. It is an iter.Seq.
func (e *Engine) Sessions(yield func(*session.Session) bool) {
	for _, l := range e.loops {
		if !l.slots.each(yield) {
			return
		}
	}
}

// Count returns how many sessions are there: placed on a loop and not closed, those
// that drain included. It looks at one number per loop. Any goroutine may call it.
func (e *Engine) Count() int { return e.count() }

// Kick closes the session with this id like CloseWith: what is queued is written, and
// OnClose gets reason as the cause, which may be nil. It does not wait, and any
// goroutine may call it. The error is ErrNotFound if there is no such session, and
// session.ErrClosed if it is closing already.
func (e *Engine) Kick(id uint64, reason error) error {
	s, err := e.Session(id)
	if err != nil {
		return err
	}
	return s.CloseWith(reason)
}
