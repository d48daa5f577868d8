package engine

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// sends has c's peer send text, and the loop hear of it.
func (st *stage) sends(c *conn, text string) {
	socket := st.sockets.of(c)
	socket.input = append(socket.input, text...)
	st.tell(c, poller.Readable)
}

func TestOverLimitIsCountedAndLogged(t *testing.T) {
	log := &recorder{least: Warn}
	w := &watcher{}
	st := newStage(t, WithByteRate(1000, 10), WithLinger(time.Second), WithLogger(log))
	for range 3 {
		c := st.connect(w)
		st.sends(c, "0123456789")
		st.loop.turn()
		if c.session.Load().State() != session.Open {
			t.Fatal("closed within the limit")
		}
		st.sends(c, "x")
		st.loop.turn()
		st.pass(2 * time.Second)
	}
	st.pass(time.Second)
	if n := st.engine.Stats().Closed["over_limit"]; n != 3 || len(w.reasons) != 3 {
		t.Fatalf("%d sessions are counted as over a limit, want 3; closed with %v", n, w.reasons)
	}
	for _, reason := range w.reasons {
		var limit *session.LimitError
		if !errors.As(reason, &limit) || *limit != (session.LimitError{Unit: "bytes", PerSecond: 1000, Burst: 10}) {
			t.Errorf("closed with %v, want the limit and its value", reason)
		}
	}
	settled(t, st.engine.log.ring)
	if len(log.lines) != 3 || log.names[0] != "over_limit" || log.lines[0]["cause"] != "more than 1000 bytes per second, and 10 at once" {
		t.Errorf("logged %v of %v", log.names, log.lines)
	}
}

// A peer that always has something to say is read at the rate it may send, by a timer
// alone, in every combination with other pauses.
func TestThrottledIsReadAtItsRate(t *testing.T) {
	heard := 0
	w := &watcher{message: func(_ *session.Session, f session.Frame) { heard += f.Len() }}
	st := newStage(t, WithByteRate(1000, 100), WithThrottle(), WithReadBudget(1))
	st.loop.segment.Release()
	st.loop.segment = st.engine.pool.Get(64) // small reads
	c := st.connect(w)
	st.sends(c, string(make([]byte, 1<<20)))
	st.loop.turn()
	start := heard
	st.pass(10 * time.Second)
	if got := heard - start; got < 9800 || got > 10_300 {
		t.Errorf("%d bytes are read in 10 s at 1000 per second", got)
	}
	if st.engine.Stats().Throttled == 0 {
		t.Error("throttling is not counted")
	}
	s := c.session.Load()
	s.PauseRead()
	st.pass(time.Second)
	before := heard
	st.pass(10 * time.Second)
	if heard != before {
		t.Error("read while paused by the user")
	}
	s.ResumeRead()
	st.pass(2 * time.Second)
	if got := heard - before; got < 1900 || got > 2400 {
		t.Errorf("%d bytes are read in 2 s after the user's pause", got)
	}
}

// A message that waits for its token is handled when the timer says so, though nothing
// comes from the peer any more.
func TestThrottledMessagesAreHandledInTime(t *testing.T) {
	var at []time.Duration
	st := newStage(t, WithMessageRate(2, 1), WithThrottle(), WithReadBudget(1), WithIdleTimeout(100*time.Millisecond))
	begun := st.clock.Now()
	w := &watcher{message: func(*session.Session, session.Frame) { at = append(at, st.clock.Now().Sub(begun)) }}
	st.loop.segment.Release()
	st.loop.segment = st.engine.pool.Get(64)
	c := st.connect(w)
	st.sends(c, string(make([]byte, 4*st.loop.segment.Cap())))
	st.pass(1900 * time.Millisecond)
	if len(at) != 4 {
		t.Fatalf("messages were handled at %v", at)
	}
	for i, got := range at {
		if want := time.Duration(i) * 500 * time.Millisecond; got < want || got > want+2*time.Duration(i+1)*tickLength {
			t.Errorf("message %d is handled at %v, want %v", i, got, want)
		}
	}
	// The idle clock stood still, and goes on when the last token is there.
	if len(w.reasons) != 0 {
		t.Fatalf("closed while throttled: %v", w.reasons)
	}
	st.pass(time.Second)
	if c.flags&ending == 0 {
		t.Error("not idle afterwards")
	}
}

// The other deadlines of a throttled session hold.
func TestThrottledSessionHasALifetime(t *testing.T) {
	w := &watcher{}
	st := newStage(t, WithByteRate(1, 1), WithThrottle(), WithLifetime(time.Second), WithLinger(time.Second))
	c := st.connect(w)
	st.sends(c, string(make([]byte, 10_000)))
	st.pass(1100 * time.Millisecond)
	if c.flags&ending == 0 {
		t.Fatal("a throttled session outlives its lifetime")
	}
	st.pass(1100 * time.Millisecond)
	w.wantReason(t, session.ReasonLifetime)
}

// A peer that resets while it is throttled is read when it is time, and then closed.
func TestThrottledSessionThatHangsUp(t *testing.T) {
	heard := 0
	w := &watcher{message: func(_ *session.Session, f session.Frame) { heard += f.Len() }}
	st := newStage(t, WithByteRate(100, 10), WithThrottle())
	c := st.connect(w)
	st.sends(c, "more than ten bytes")
	st.loop.turn()
	st.sockets.of(c).input = []byte("rest")
	st.sockets.of(c).failed = syscall.ECONNRESET
	st.tell(c, poller.Readable|poller.HangUp|poller.Failed)
	st.loop.turn()
	if c.flags&throttled == 0 || len(w.reasons) != 0 {
		t.Fatalf("flags %b, closed with %v", c.flags, w.reasons)
	}
	st.pass(time.Second)
	if heard != len("more than ten bytes")+len("rest") {
		t.Errorf("%d bytes were handled", heard)
	}
	w.wantReason(t, session.ReasonPeerReset)
}

// A drain does not wait for tokens.
func TestThrottledSessionsDrain(t *testing.T) {
	w := &watcher{}
	st := newStage(t, WithByteRate(1, 1), WithThrottle())
	c := st.connect(w)
	st.sends(c, string(make([]byte, 1000)))
	st.loop.turn()
	st.engine.command(orderDrain)
	st.loop.turn()
	socket := st.sockets.of(c)
	if socket.finOut != 1 {
		t.Fatalf("%d FINs are sent", socket.finOut)
	}
	socket.fin = true
	st.tell(c, poller.Readable|poller.ReadClosed)
	st.loop.turn()
	w.wantReason(t, session.ReasonShutdown)
}

// Frames count one by one, however many come at once: those above the burst end the
// session, or wait for their tokens in the strand.
func TestFramesAreCountedOneByOne(t *testing.T) {
	const lines = "one\ntwo\nthree\nfour\nfive\n"
	for _, mode := range []Option{WithMode(Single), WithUnread(1)} {
		heard := ""
		w := &watcher{message: func(_ *session.Session, f session.Frame) { heard += string(f.Bytes()) + " " }}
		st := newStage(t, mode, WithMessageRate(1, 3), WithLinger(time.Second))
		c := st.connect(session.Framed(w, frame.Lines()))
		st.sends(c, lines)
		st.loop.turn()
		if heard != "one two three " || c.flags&ending == 0 {
			t.Errorf("heard %q, flags %b", heard, c.flags)
		}
		st.pass(2 * time.Second)
		w.wantReason(t, session.ReasonOverLimit)
		var why *session.CloseError
		if len(w.reasons) == 1 && errors.As(w.reasons[0], &why) && why.Unhandled != len("four"+"five\n") {
			t.Errorf("%d bytes unhandled", why.Unhandled)
		}

		heard = ""
		st = newStage(t, mode, WithMessageRate(1, 3), WithThrottle())
		c = st.connect(session.Framed(w, frame.Lines()))
		st.sends(c, lines)
		for i, want := range []string{"one two three ", "one two three four ", "one two three four five "} {
			if st.pass(900 * time.Millisecond); heard != want {
				t.Errorf("after %d seconds: heard %q, want %q", i, heard, want)
			}
			st.pass(200 * time.Millisecond)
		}
	}
}
