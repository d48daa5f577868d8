package engine

import (
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Half a frame comes behind a message after which reading is paused for longer than a frame may
// take. When reading goes on, workers are late: only after them it can be known that it is half.
func TestHalfAFrameBehindAPause(t *testing.T) {
	st, x := newPooledStage(t, WithFrameTimeout(time.Second))
	var got []string
	w := &watcher{message: func(s *session.Session, f session.Frame) {
		if got = append(got, string(f.Bytes())); len(got) == 1 {
			s.PauseRead()
		}
	}}
	c := st.connect(session.Framed(w, frame.Lines()))
	s := c.session.Load()
	st.loop.turn()
	x.run() // OnOpen
	st.sockets.of(c).input = []byte("first\nnext\nhalf")
	st.tell(c, poller.Readable)
	st.pass(10 * time.Millisecond)
	x.run()
	st.pass(3 * time.Second)
	if s.State() != session.Open {
		t.Fatalf("a session that is paused has ended: %v", s.State())
	}
	s.ResumeRead()
	st.pass(10 * time.Millisecond)
	x.run()
	st.pass(900 * time.Millisecond)
	if len(got) != 2 || s.State() != session.Open {
		t.Fatalf("it is %v, and was given %q", s.State(), got)
	}
	st.pass(200 * time.Millisecond)
	x.run()
	if s.State() == session.Open {
		t.Fatalf("half a frame for longer than a second: %v", s.State())
	}
	st.pass(time.Minute) // the peer does not send FIN
	x.run()
	w.wantReason(t, session.ReasonFrameTimeout)
}
