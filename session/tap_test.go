package session_test

import (
	"errors"
	"io"
	"slices"
	"syscall"
	"testing"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// tapped makes a tap of the rig's session, with channels that nobody listens to.
func tapped(r *rig) *session.Tap {
	return session.NewTap(r.session, make(chan struct{}, 1), make(chan struct{}, 1), transport.Key{})
}

// readToTheEnd returns a tap that has read "abc" into p, and the end.
func readToTheEnd(t *testing.T) (r *rig, tap *session.Tap, p []byte) {
	r = newRig(t, &parts{})
	r.driver.Open()
	tap = tapped(r)
	r.deliver("abc")
	r.driver.PeerClosed()
	p = make([]byte, 8)
	if n, err := tap.TryRead(p); n != 3 || err != nil {
		t.Fatalf("TryRead returned %d, %v", n, err)
	}
	_, err := tap.TryRead(p)
	wantError(t, "TryRead at the end", err, io.EOF)
	return r, tap, p
}

// TestTapKeepsTheAttendant: who is told of a session's end whatever its handler is, is told
// of one without a handler too, and what was lost.
func TestTapKeepsTheAttendant(t *testing.T) {
	var log []string
	r, a := attendedRig(t, &log, func(*parts, *attendant) {})
	r.driver.Open()
	tap := tapped(r)
	r.link.otherwise = &again
	n, err := tap.TryWrite([]byte("never leaves"))
	if wantError(t, "TryWrite", err, nil); n != len("never leaves") {
		t.Errorf("TryWrite took %d bytes, want all", n)
	}
	log = nil
	r.close()
	if want := []string{"Closed"}; !slices.Equal(log, want) {
		t.Errorf("calls %q, want %q", log, want)
	}
	if want := (session.Lost{Messages: 1}); a.lost != want {
		t.Errorf("lost %+v, want %+v", a.lost, want)
	}
}

// TestTapTakesTheFINFromHandlers: a FIN that came while there was a tap is still told to
// the next handler, in its turn after what was not read.
func TestTapTakesTheFINFromHandlers(t *testing.T) {
	r := newRig(t, &parts{})
	r.driver.Open()
	tap := tapped(r)
	r.deliver("abc")
	r.driver.PeerClosed()
	p := make([]byte, 2)
	if n, err := tap.TryRead(p); n != 2 || err != nil {
		t.Fatalf("TryRead returned %d, %v", n, err)
	}
	if st := r.session.State(); st != session.Open {
		t.Fatalf("session is %v before everything was read", st)
	}
	var got []string
	wantError(t, "Return", tap.Return(&parts{message: func(_ *session.Session, f session.Frame) {
		got = append(got, string(f.Bytes()))
	}}), nil)
	_, err := tap.TryRead(p)
	wantError(t, "TryRead after Return", err, session.ErrTapShut)
	r.driver.Status() // what the loop does when asked to look
	if want := []string{"c"}; !slices.Equal(got, want) {
		t.Errorf("handler got %q, want %q", got, want)
	}
	if st := r.session.State(); st != session.Draining {
		t.Errorf("session is %v after the peer's FIN was handled, want Draining", st)
	}
}

// TestTapReadsWhatCameBeforeTheEnd in full, then the end.
func TestTapReadsWhatCameBeforeTheEnd(t *testing.T) {
	r, tap, p := readToTheEnd(t)
	r.driver.Status() // the FIN is acted on, since everything before it was read
	_, err := tap.TryWrite([]byte("still open"))
	wantError(t, "TryWrite after the peer's FIN", err, nil)
	r.wantTaken("still open")
	_, err = tap.TryRead(p)
	wantError(t, "TryRead once more", err, io.EOF)

	// The next handler's session is not half open: it ends.
	wantError(t, "Return", tap.Return(&parts{}), nil)
	r.driver.Status()
	if st := r.session.State(); st != session.Draining {
		t.Errorf("session is %v after the peer's FIN was handled, want Draining", st)
	}
}

// TestTapTellsWhatWasDroppedFromTheEnd: when a paused session ends, what is still to be read is
// thrown away, and the FIN behind it does not make the stream whole.
func TestTapTellsWhatWasDroppedFromTheEnd(t *testing.T) {
	r := newRig(t, &parts{})
	r.driver.Open()
	tap := tapped(r)
	r.deliver("abc")
	r.driver.PeerClosed()
	r.session.PauseRead()
	r.driver.End(session.ReasonLifetime, nil, false)
	r.driver.Status()
	_, err := tap.TryRead(make([]byte, 8))
	why := (*session.CloseError)(nil)
	if !errors.As(err, &why) || why.Reason != session.ReasonLifetime || why.Unhandled != 3 {
		t.Errorf("TryRead: %v, want what the session was closed for", err)
	}
}

// TestTapTellsWhatWasPutBackAndDropped: who has read to the end, and puts something back, has
// not got it when the session ends before he reads it again.
func TestTapTellsWhatWasPutBackAndDropped(t *testing.T) {
	r, tap, p := readToTheEnd(t)
	wantError(t, "TryUnread", tap.TryUnread(p[1:3]), nil)
	r.driver.End(session.ReasonLifetime, nil, true)
	_, err := tap.TryRead(p)
	why := (*session.CloseError)(nil)
	if !errors.As(err, &why) || why.Reason != session.ReasonLifetime || why.Unhandled != 2 {
		t.Errorf("TryRead: %v, want what the session was closed for", err)
	}
}

// TestTapTellsAResetFromTheEnd: when a write has met the peer's reset, reading finds the end
// of the stream, which must not pass for the peer's FIN.
func TestTapTellsAResetFromTheEnd(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		want  error
	}{
		{syscall.ECONNRESET, session.ReasonPeerReset},
		{syscall.EPIPE, io.EOF},
	} {
		r := newRig(t, &parts{})
		r.driver.Open()
		readable, p := make(chan struct{}, 1), make([]byte, 1)
		tap := session.NewTap(r.session, readable, make(chan struct{}, 1), transport.Key{})
		r.link.script = []answer{{errno: c.errno}}
		r.link.during = func() { // the kernel has told who writes, and he has not told the session
			r.driver.PeerClosed()
			n, err := tap.TryRead(p)
			if wantError(t, "TryRead during the write", err, nil); n != 0 {
				t.Errorf("read %d bytes, of none", n)
			}
			<-readable // of the FIN
		}
		_, err := tap.TryWrite([]byte("x"))
		wantError(t, "TryWrite", err, c.errno)
		select {
		case <-readable:
		default:
			t.Error("whoever reads is not told after the write")
		}
		_, err = tap.TryRead(p)
		wantError(t, "TryRead", err, c.want)
	}
}

// Who reads to the end while the loop writes a group's message cannot be told yet, and is
// woken when that has ended.
func TestTapLearnsOfTheEndAfterAGroupsWrite(t *testing.T) {
	h := newHall(t, session.GroupConfig{}, 1)
	g := h.groups.Group("g")
	m := h.join(g, 1)[0]
	readable := make(chan struct{}, 1)
	tap := session.NewTap(m.session, readable, make(chan struct{}, 1), transport.Key{})
	m.driver.PeerClosed()
	for len(readable) > 0 {
		<-readable
	}
	asked := false
	m.during = func() {
		m.during = nil
		asked = true
		if n, err := tap.TryRead(make([]byte, 10)); n != 0 || err != nil {
			t.Errorf("TryRead during the write: %d, %v", n, err)
		}
	}
	h.publish(g, "hello")
	h.wantTook(m, "hello")
	if !asked {
		t.Fatal("nothing was read during the write")
	}
	if len(readable) == 0 {
		t.Error("who waits to read is not told that the write has ended")
	}
	if _, err := tap.TryRead(make([]byte, 10)); err != io.EOF {
		t.Errorf("TryRead: %v, want the end", err)
	}
}
