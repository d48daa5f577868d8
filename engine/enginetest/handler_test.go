package enginetest

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/weirnet/weir/session"
)

// simHandler is the handler of all sessions of a simulation. What it does with
// a session stands in the plan of its connection.
type simHandler struct{ sim *simulation }

// halfOpenHandler also answers after the client's FIN.
type halfOpenHandler struct{ simHandler }

// plan is what a handler does.
type plan struct {
	manner  manner
	factor  int // answers per message, for pushing
	last    int // message at which it panics or closes
	opening int // bytes sent in OnOpen
	codec   int // that it speaks
	joins   []*hall
	turner  bool    // the codec changes
	turns   []turn  // when, in order
	notify  float64 // how often it sends with a completion
	writes  float64 // how often it writes letters
}

// turn is a change of the codec, for both directions.
type turn struct {
	after   int // messages
	codec   int
	handler bool // the handler is set anew, too
}

// planned is what handlers panic with.
const planned = "as planned"

// tripped is deferred in what sessions call, which would otherwise hide the simulation's
// own panics.
func (s *simulation) tripped() {
	if value := recover(); value == planned {
		panic(value)
	} else if value != nil {
		s.failf("panic: %v\n%s", value, debug.Stack())
	}
}

type manner uint8

const (
	echo       manner = iota // the frame itself
	echoPieces               // views of parts of the frame, copies of others
	echoOwned                // memory that is released
	pushing                  // more than came
	keeping                  // retains frames, which others send
	pausing                  // pauses itself
	closing                  // answers and closes
	panicking
	manners
)

func (m manner) String() string {
	return [...]string{"echo", "echoPieces", "echoOwned", "pushing", "keeping", "pausing", "closing", "panicking"}[m]
}

// OnOpen implements session.Opener.
func (h simHandler) OnOpen(s *session.Session) {
	defer h.sim.tripped()
	t := h.sim.find(s)
	t.open(s)
	if t.plan.codec != h.sim.codec {
		s.SetCodec(codecs[t.plan.codec].codec)
		t.codec = t.plan.codec
	}
	defer t.enter()()
	for _, group := range t.plan.joins {
		group.join(t, t.chance(0.5))
	}
	h.sim.interrupt(t)
	if n := t.plan.opening; n > 0 {
		p := bytes.Repeat(numbers, 1+n/len(numbers))[:n]
		_ = t.send(p, "Send", func() error { return s.Send(p) })
		clear(p)
	}
	if t.plan.manner == panicking && t.plan.last == 1 {
		t.meddled = true
		h.sim.exit(t, 0.5)
	}
}

// exit ends the goroutine of a handler, sometimes.
func (s *simulation) exit(t *track, chance float64) {
	if t.chance(chance) {
		s.note("%s: ends its goroutine", t)
		runtime.Goexit()
	}
}

// OnMessage implements session.Handler.
func (h simHandler) OnMessage(s *session.Session, f session.Frame) {
	defer h.sim.tripped()
	t := s.Value().(*track)
	p := f.Bytes()
	t.message(p)
	defer t.enter()()
	t.turn(s)
	h.sim.interrupt(t)
	if c := h.sim.crowd; c != nil && t.chance(c.chatty) {
		c.act(t, t.draws, true)
	}
	if t.chance(t.plan.writes) {
		t.write(h.sim.handlerPatience(t.draws), t.upTo(8<<10))
	}
	defer t.recheck(slices.Clone(p), p)
	switch t.plan.manner {
	case echo:
		t.echo(p)
	case echoPieces:
		t.echoPieces(p)
	case echoOwned:
		own := slices.Clone(p)
		_ = t.sendOwned(own, func() { clear(own) })
	case pushing:
		for range t.plan.factor {
			t.echo(p)
		}
		if t.chance(0.1) {
			_ = s.Flush()
		}
	case keeping:
		t.retained = append(t.retained, f.Retain())
	case pausing:
		t.echo(p)
		if t.chance(0.2) {
			t.pause()
		}
	case closing:
		if t.messages < t.plan.last {
			t.echo(p)
		} else {
			t.sendAndClose(p)
		}
	case panicking:
		t.echo(p)
		if t.messages == t.plan.last {
			t.meddled = true
			h.sim.exit(t, 0.5)
			panic(planned)
		}
	}
}

// recheck looks, when a handler returns, whether its frame is still what it was.
func (t *track) recheck(was, is []byte) {
	t.sim.interrupt(t)
	if !bytes.Equal(was, is) {
		t.sim.failf("%s: the frame has changed under its handler", t)
	}
}

// enter is called when a handler begins, and what it returns when it ends.
func (t *track) enter() (leave func()) {
	if t.inHandler {
		t.sim.failf("%s: handlers overlap", t)
	}
	t.inHandler, t.enteredAt = true, t.sim.now
	return func() {
		t.inHandler, t.handled = false, 0
		t.sim.watch.took(t.sim, t.sim.now.Sub(t.enteredAt))
	}
}

// turn changes the codec when it is time to.
func (t *track) turn(s *session.Session) {
	if len(t.plan.turns) == 0 || t.plan.turns[0].after != t.messages {
		return
	}
	next := t.plan.turns[0]
	t.plan.turns = t.plan.turns[1:]
	t.sim.note("%s: turns to codec %d, with its handler: %v", t, next.codec, next.handler)
	t.codec = next.codec
	if next.handler {
		s.SetHandler(session.Framed(t.sim.handler, codecs[next.codec].codec))
	} else {
		s.SetCodec(codecs[next.codec].codec)
	}
}

// interrupt lets others act while a handler runs, or has it block.
func (s *simulation) interrupt(t *track) {
	s.disturb(t)
	s.block(t)
}

func (t *track) echo(p []byte) {
	if t.chance(t.plan.notify) {
		t.sendNotify(p)
		return
	}
	_ = t.send(p, "Send", func() error { return t.session.Send(p) })
}

func (t *track) echoPieces(p []byte) {
	for len(p) > 0 {
		n := t.upTo(len(p))
		piece := p[:n]
		if t.chance(0.3) {
			copied := slices.Clone(piece)
			t.echo(copied)
			clear(copied)
		} else {
			t.echo(piece)
		}
		p = p[n:]
	}
}

func (t *track) sendAndClose(p []byte) {
	t.meddled = true
	_ = t.send(p, "SendAndClose", func() error { return t.session.SendAndClose(p, nil) })
}

// pause stops reading, until the janitor resumes.
func (t *track) pause() {
	t.sim.note("%s: PauseRead", t)
	t.session.PauseRead()
	t.paused, t.excess = true, 0
	t.clock.pulse.mute = time.Time{}
	t.sim.janitor.add(t)
}

func (t *track) resume() {
	t.sim.note("%s: ResumeRead", t)
	t.paused = false
	t.session.ResumeRead()
}

// OnPeerClose implements session.PeerCloser.
func (h halfOpenHandler) OnPeerClose(s *session.Session) {
	defer h.sim.tripped()
	t := s.Value().(*track)
	h.sim.note("%s: OnPeerClose", t)
	if t.state != opened || t.inHandler {
		h.sim.failf("%s: OnPeerClose in state %d", t, t.state)
	}
	defer t.enter()()
	h.sim.interrupt(t)
	if t.plan.manner == keeping {
		// Others send what was kept, and close: see janitor.
		t.answered = true
		h.sim.janitor.add(t)
		return
	}
	t.echo([]byte("goodbye"))
	if t.chance(0.5) {
		_ = s.CloseWrite()
	} else {
		_ = s.CloseWith(session.ReasonPeerClosed)
	}
}

// OnClose implements session.Closer.
func (h simHandler) OnClose(s *session.Session, reason error) {
	defer h.sim.tripped()
	t := s.Value().(*track)
	t.close(reason)
	defer t.enter()()
	if c := h.sim.crowd; c != nil && t.chance(c.chatty) {
		c.act(t, t.draws, true)
	}
	h.sim.interrupt(t)
	h.sim.exit(t, 0.05)
}
