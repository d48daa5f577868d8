package main

import (
	"errors"

	"github.com/weirnet/weir/session"
)

// hub is the service of -reply all: what one session sends goes to every session, the
// sender included. Those are a group, which a session leaves by itself when it closes.
//
// Publishing does not wait for members, either. One that does not keep up is behind by
// more and more, and by -queue at most: then it is closed, or messages are left out for
// it (-slow).
type hub struct{ all *session.Group }

// OnOpen has the session get what is published from now on.
func (h hub) OnOpen(s *session.Session) {
	_ = h.all.Join(s) // fails only if it is closing already
}

// OnMessage publishes.
//
// It is refused only while a loop has not even come to look at several MiB that were
// published before. A handler that waits for that, in mode pool, is not called
// again meanwhile and so its session is not read: whoever publishes too fast is slowed
// down. In modes inline and single it runs on a loop, perhaps the very one, and
// PublishContext refuses to wait. Then the publisher must go: a message left out would
// be a hole for all, which they could not see.
func (h hub) OnMessage(s *session.Session, f session.Frame) {
	err := h.all.Send(f.Bytes())
	if errors.Is(err, session.ErrBufferFull) {
		err = h.all.PublishContext(s.Context(), session.Notice{Bytes: f.Bytes()})
	}
	leaveNoHole(s, err)
}
