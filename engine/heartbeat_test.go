package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Heartbeats by the virtual clock.

// beater is a handler with a heartbeat, which notes when it is called.
type beater struct {
	*watcher
	clock *stageClock
	pings []time.Time
	ping  func(*session.Session) // nil: sends "?"
}

func (b *beater) OnPing(s *session.Session) {
	b.pings = append(b.pings, b.clock.Now())
	if b.ping != nil {
		b.ping(s)
		return
	}
	_ = s.Send([]byte("?")) // what becomes of it is the test's
}

// say has the peer send text.
func (st *stage) say(c *conn, text string) {
	socket := st.sockets.of(c)
	socket.input = append(socket.input, text...)
	st.tell(c, poller.Readable)
	st.pass(0)
}

// beating connects a session with a heartbeat.
func (st *stage) beating() (*conn, *session.Session, *beater) {
	st.t.Helper()
	b := &beater{watcher: &watcher{}, clock: st.clock}
	c := st.connect(b)
	return c, c.session.Load(), b
}

// wantPings checks how often the handler was called, and what became of the session.
func (b *beater) want(t *testing.T, when string, s *session.Session, pings int, open bool) {
	t.Helper()
	if len(b.pings) != pings || (s.State() == session.Open) != open {
		t.Fatalf("%s: %d pings, state %v; want %d, open %v", when, len(b.pings), s.State(), pings, open)
	}
	if !open {
		b.wantReason(t, session.ReasonHeartbeat)
	}
}

// late is how much later than it should an interval may end.
const late = 2 * tickLength

func TestHeartbeatOfASilentPeer(t *testing.T) {
	st := newStage(t, WithHeartbeat(time.Second, 3))
	began := st.clock.Now()
	c, s, b := st.beating()
	socket := st.sockets.of(c)
	st.pass(990 * time.Millisecond)
	b.want(t, "before the first interval ends", s, 0, true)
	st.pass(1 * time.Second)
	b.want(t, "after one interval", s, 1, true)
	st.pass(1 * time.Second)
	b.want(t, "after two intervals", s, 2, true)
	st.pass(1*time.Second - 10*time.Millisecond + 3*late)
	b.want(t, "after three intervals", s, 2, false)
	for i, at := range b.pings {
		want := began.Add(time.Duration(i+1) * time.Second)
		if at.Before(want) || at.After(want.Add(time.Duration(i+1)*late)) {
			t.Errorf("ping %d came after %v", i, at.Sub(began))
		}
	}
	if string(socket.output) != "??" || socket.linger != 0 {
		t.Errorf("the peer got %q, linger is %d; want two pings and a reset", socket.output, socket.linger)
	}
	if n := st.engine.Stats().Pings; n != 2 {
		t.Errorf("Stats.Pings is %d, want 2", n)
	}
}

// What is received starts the time again, and touches no timer.
func TestHeartbeatOfAPeerThatAnswers(t *testing.T) {
	st := newStage(t, WithHeartbeat(time.Second, 2))
	c, s, b := st.beating()
	b.message = func(*session.Session, session.Frame) {}
	for i := range 10 {
		st.pass(time.Second + late)
		b.want(t, "after an interval without an answer", s, i+1, true)
		due := c.timer.due
		st.say(c, "!")
		if c.timer.due != due || !c.timer.isSet() {
			t.Fatal("receiving has moved the timer")
		}
	}
	for range 20 {
		st.pass(900 * time.Millisecond)
		st.say(c, "!")
	}
	b.want(t, "while it speaks by itself", s, 10, true)
	st.pass(2*time.Second + 2*late)
	b.want(t, "when it speaks no more", s, 11, false)
}

// Sending is no sign of life of the peer's, even if its kernel takes all of it.
func TestHeartbeatWhileSending(t *testing.T) {
	for name, room := range map[string]int{"taken": 1 << 30, "stuck": 0} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, WithHeartbeat(time.Second, 2))
			c, s, b := st.beating()
			st.sockets.of(c).room = room
			for range 4 {
				_ = s.Send([]byte("something")) // in the end it is closed
				st.pass(500*time.Millisecond + late)
			}
			b.want(t, "after two intervals", s, 1, false)
		})
	}
}

func TestHeartbeatStandsStillWhileReadingIsPaused(t *testing.T) {
	st := newStage(t, WithHeartbeat(time.Second, 2))
	_, s, b := st.beating()
	st.pass(1500 * time.Millisecond)
	b.want(t, "before the pause", s, 1, true)
	s.PauseRead()
	st.pass(time.Hour)
	b.want(t, "during the pause", s, 1, true)
	s.ResumeRead()
	st.pass(990 * time.Millisecond)
	b.want(t, "an interval has not passed since", s, 1, true)
	st.pass(late)
	b.want(t, "an interval has passed since", s, 2, true)
	st.pass(time.Second + late)
	b.want(t, "two have", s, 2, false)
}

// A peer that does not read is the stall deadline's business once reading is paused.
func TestHeartbeatAboveHighWater(t *testing.T) {
	st := newStage(t, WithHeartbeat(time.Second, 2), WithOutbound(10, 20, 30), WithStallTimeout(time.Minute))
	c, s, b := st.beating()
	st.sockets.of(c).room = 0
	_ = s.Send(make([]byte, 25))
	st.pass(59 * time.Second)
	b.want(t, "within the stall deadline", s, 0, true)
	st.pass(2 * time.Second)
	b.wantReason(t, session.ReasonSlowConsumer)
}

// Nobody runs the handlers for hours, so the peer has not been asked.
func TestHeartbeatWaitsForOnPing(t *testing.T) {
	x := &heldExecutor{}
	st := newStage(t, WithMode(Pool), WithLoops(1), WithExecutor(x), WithHeartbeat(time.Second, 2))
	c, s, b := st.beating()
	st.loop.turn()
	x.run() // OnOpen
	st.pass(3 * time.Hour)
	b.want(t, "while nobody runs handlers", s, 0, true)
	x.run()
	b.want(t, "when somebody does", s, 1, true)
	st.pass(late)
	b.want(t, "at once", s, 1, true)
	st.say(c, "!")
	x.run() // OnMessage
	st.pass(time.Second + late)
	x.run()
	b.want(t, "after an interval more", s, 2, true)
	st.pass(time.Second + late)
	st.loop.turn()
	x.run() // OnClose
	b.want(t, "after two", s, 2, false)
}

// What has come is handled before the session ends for silence, in whatever time handlers
// take: each of these takes more than an interval.
func TestHeartbeatEndsBehindWhatCame(t *testing.T) {
	x := &heldExecutor{}
	st := newStage(t, WithMode(Pool), WithLoops(1), WithExecutor(x), WithHeartbeat(time.Second, 2))
	b := &beater{watcher: &watcher{}, clock: st.clock}
	c := st.connect(session.Framed(b, frame.Lines()))
	s := c.session.Load()
	st.loop.turn()
	x.run() // OnOpen
	var got []string
	b.message = func(_ *session.Session, f session.Frame) {
		got = append(got, fmt.Sprint(string(f.Bytes()), " after ", len(b.pings)))
		st.pass(time.Second + late)
	}
	st.say(c, "a\nb\nc\n")
	x.run()
	st.pass(0)
	x.run() // OnClose
	if want := "[a after 0 b after 1 c after 1]"; fmt.Sprint(got) != want {
		t.Errorf("handled: %v, want %s", got, want)
	}
	b.want(t, "in the end", s, 1, false)
}

// A process that was stopped as a whole asks before it concludes anything.
func TestHeartbeatAfterAJumpInTime(t *testing.T) {
	st := newStage(t, WithHeartbeat(time.Second, 2))
	c, s, b := st.beating()
	st.pass(500 * time.Millisecond)
	st.clock.set(st.clock.Now().Add(time.Hour))
	st.loop.turn()
	st.loop.turn()
	b.want(t, "after the jump", s, 1, true)
	st.pass(900 * time.Millisecond)
	b.want(t, "while the answer may come", s, 1, true)
	st.say(c, "!")
	st.pass(900 * time.Millisecond)
	b.want(t, "after the answer", s, 1, true)
}

// The handler decides whether there is a heartbeat, also one that is set later.
func TestHeartbeatFollowsTheHandler(t *testing.T) {
	for _, mode := range []Mode{Single, Pool} {
		t.Run(mode.String(), func(t *testing.T) {
			x := &heldExecutor{}
			st := newStage(t, WithMode(mode), WithLoops(1), WithExecutor(x), WithHeartbeat(time.Second, 2))
			w := &watcher{}
			b := &beater{watcher: w, clock: st.clock}
			c := st.connect(w)
			s := c.session.Load()
			later := func(d time.Duration) {
				for range 4 {
					st.pass(d / 4)
					x.run()
				}
				st.pass(0)
			}
			later(time.Hour)
			b.want(t, "without the part", s, 0, true)
			s.SetHandler(b)
			later(900 * time.Millisecond)
			b.want(t, "before an interval has passed", s, 0, true)
			later(200 * time.Millisecond)
			b.want(t, "after one", s, 1, true)
			s.SetHandler(w)
			later(time.Hour)
			b.want(t, "without the part again", s, 1, true)
			s.SetHandler(b)
			later(2100 * time.Millisecond)
			x.run()
			b.want(t, "with it again", s, 2, false)
		})
	}
}

// Where a peer cannot be asked, or cannot answer, its silence means nothing.
func TestNoHeartbeatWhereNothingCanCome(t *testing.T) {
	for name, shut := range map[string]func(st *stage, c *conn, s *session.Session){
		"CloseWrite": func(_ *stage, _ *conn, s *session.Session) { _ = s.CloseWrite() },
		"peer's FIN": func(st *stage, c *conn, _ *session.Session) {
			st.sockets.of(c).fin = true
			st.tell(c, poller.ReadClosed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, WithHeartbeat(time.Second, 2), WithHalfOpen())
			b := &beater{watcher: &watcher{}, clock: st.clock}
			c := st.connect(stayer{b})
			s := c.session.Load()
			st.pass(1500 * time.Millisecond)
			b.want(t, "before", s, 1, true)
			shut(st, c, s)
			st.pass(time.Hour)
			b.want(t, "afterwards", s, 1, true)
		})
	}
}

// stayer is a beater that goes on after the peer's FIN.
type stayer struct{ *beater }

func (stayer) OnPeerClose(*session.Session) {}

func TestHeartbeatSwitchedOff(t *testing.T) {
	st := newStage(t, WithHeartbeat(0, 2))
	c, s, b := st.beating()
	st.pass(time.Hour)
	b.want(t, "after an hour", s, 0, true)
	if c.timer.isSet() {
		t.Error("a timer is set")
	}
}

// A heartbeat is no excuse for a session that is idle otherwise, if that is what the
// handler does about it: it closes in OnPing.
func TestCloseInOnPing(t *testing.T) {
	st := newStage(t, WithHeartbeat(time.Second, 2), WithLinger(time.Second))
	_, s, b := st.beating()
	b.ping = func(s *session.Session) { _ = s.Close() }
	st.pass(time.Second + late)
	if s.State() != session.Draining {
		t.Errorf("state %v after the first ping", s.State())
	}
	st.pass(time.Second + late)
	b.wantReason(t, session.ReasonLocalClose)
}
