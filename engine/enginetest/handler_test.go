package enginetest

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"slices"

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
		s.SetCodec(codecs[t.plan.codec])
	}
	t.inHandler = true
	defer func() { t.inHandler = false }()
	for _, group := range t.plan.joins {
		group.join(t, h.sim.chance(0.5))
	}
	h.sim.interrupt()
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
	if s.chance(chance) {
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
	t.inHandler = true
	defer func() { t.inHandler = false }()
	h.sim.interrupt()
	if c := h.sim.crowd; c != nil && h.sim.chance(c.chatty) {
		c.act(t)
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
		if h.sim.chance(0.1) {
			_ = s.Flush()
		}
	case keeping:
		t.retained = append(t.retained, f.Retain())
	case pausing:
		t.echo(p)
		if h.sim.chance(0.2) {
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
	t.sim.interrupt()
	if !bytes.Equal(was, is) {
		t.sim.failf("%s: the frame has changed under its handler", t)
	}
}

// interrupt lets others act while a handler runs, or has it block.
func (s *simulation) interrupt() {
	s.disturb()
	s.block()
}

func (t *track) echo(p []byte) {
	_ = t.send(p, "Send", func() error { return t.session.Send(p) })
}

func (t *track) echoPieces(p []byte) {
	for len(p) > 0 {
		n := t.sim.upTo(len(p))
		piece := p[:n]
		if t.sim.chance(0.3) {
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
	t.inHandler = true
	defer func() { t.inHandler = false }()
	h.sim.interrupt()
	if t.plan.manner == keeping {
		// Others send what was kept, and close: see janitor.
		t.answered = true
		h.sim.janitor.add(t)
		return
	}
	t.echo([]byte("goodbye"))
	if h.sim.chance(0.5) {
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
	if c := h.sim.crowd; c != nil && h.sim.chance(c.chatty) {
		c.act(t)
	}
	h.sim.exit(t, 0.05)
}
