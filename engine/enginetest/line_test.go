package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/weirnet/weir/session"
)

// line is a connection that a client of the engine has made, from both ends.
type line struct {
	draws
	sim    *simulation
	remote *remote
	owner  *dialler // whose session opened; nil before
	far    *socket  // the server's end
	near   *socket  // the engine's

	// What the engine's end does.
	session   *session.Session
	state     trackState
	reason    *session.CloseError
	inHandler bool
	enteredAt time.Time
	pulse     pulse
	peak      int // the most bytes that waited since none did
	pieces    int // given to it since then

	// What it sends.
	own       []*parcel // of the session's own Send
	begunSize int       // bytes of those that have begun to leave, all of them
	known     int       // bytes that have left, and the session knows it
	start     []byte    // of a message that is not known yet
	rest      []byte    // missing of one
	current   *parcel
	asked     []int // where questions end that the server has not come to

	// What the server does.
	said     [][]byte // its messages
	heard    int      // of these, by the handler
	pending  []byte   // bytes of these that its socket has not taken
	received int
	answers  int // it owes
	left     int // messages that it will send besides
	talkAt   time.Time
	idle     time.Time
	quitAt   time.Time // it goes away then; zero: it does not
	quits    quit
	sawEnd   bool
	done     bool
}

// server is a line as an actor: the remote end.
type server struct{ *line }

func (server) String() string { return "" }

// quit is how a server leaves a connection.
type quit uint8

const (
	finishes quit = iota // with FIN, when all is said
	breaks               // with RST
	hangsUp              // with whatever close does
	quitKinds
)

func (k *line) String() string { return fmt.Sprintf("line %d of %s", k.near.port, k.remote.name) }

func (k *line) asleep() bool {
	return k.done || k.remote.state != up || k.sim.now.Before(k.idle)
}

func (k *line) ready() bool {
	return !k.asleep() && (k.canRead() || k.canSend() || k.timeUp() || k.sawEnd)
}

func (k *line) timeUp() bool { return !k.quitAt.IsZero() && !k.sim.now.Before(k.quitAt) }

func (k *line) wakes() (first time.Time) {
	if k.done || k.remote.state != up {
		return time.Time{}
	}
	if k.idle.After(k.sim.now) {
		return k.idle
	}
	for _, at := range []time.Time{k.quitAt, k.talkAt} {
		if at.After(k.sim.now) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

func (k *line) canRead() bool {
	f := k.far
	return len(f.in) > 0 || !k.sawEnd && (f.fin || f.dead || f.failure != 0)
}

func (k *line) canSend() bool {
	f := k.far
	if f.shut || f.dead || len(k.near.in) >= k.near.limit && !k.near.closed {
		return false
	}
	return len(k.pending) > 0 || k.owes() || k.left > 0 && !k.sim.now.Before(k.talkAt)
}

// owes tells whether a question has come that is not answered.
func (k *line) owes() bool {
	for len(k.asked) > 0 && k.asked[0] <= k.received {
		k.asked = k.asked[1:]
		k.answers++
	}
	return k.answers > 0
}

func (k *line) step() {
	s := k.sim
	switch {
	case k.timeUp() && k.quits != finishes:
		k.leave(k.quits == breaks)
	case k.sawEnd:
		k.leave(false)
	case k.chance(k.remote.lazy):
		k.idle = s.now.Add(k.within(k.remote.nap))
	case k.canRead() && (!k.canSend() || k.chance(0.5)):
		k.read()
	case k.canSend():
		k.send()
	case k.timeUp():
		s.note("%s: the server ends", k)
		s.network.ends(k.far)
		k.quitAt, k.left, k.answers, k.asked = time.Time{}, 0, 0, nil
	}
}

func (k *line) read() {
	buf := make([]byte, k.upTo(64<<10))
	n, errno := k.far.recv(buf)
	switch {
	case errno == syscall.EAGAIN:
		k.sim.failf("%s: the server was told to read, and cannot", k)
	case errno != 0, n == 0 && k.far.dead && !k.far.fin:
		k.leave(false)
	case n == 0:
		k.sawEnd = true
	}
	k.received += n
}

func (k *line) send() {
	if len(k.pending) == 0 {
		if k.owes() {
			k.answers--
		} else {
			k.left--
			k.talkAt = k.sim.now.Add(k.within(300 * time.Millisecond))
		}
		body := content(classFar, len(k.said), k.upTo(min(4<<10, k.near.limit)))
		wire, err := framed(k.remote.codec, body)
		if err != nil {
			panic(err)
		}
		k.said, k.pending = append(k.said, body), wire
	}
	n, errno := k.far.send([][]byte{k.pending[:k.upTo(len(k.pending))]})
	k.pending = k.pending[n:]
	if errno != 0 && errno != syscall.EAGAIN {
		k.leave(false)
	}
}

// leave closes the server's end.
func (k *line) leave(rst bool) {
	if k.done {
		return
	}
	k.sim.note("%s: the server leaves, reset: %v", k, rst)
	w := k.sim.network
	w.mu.Lock()
	defer w.mu.Unlock()
	k.far.close(rst && !k.far.unix)
	k.done = true
}

// What follows is the engine's end.

// moved is told what a call of the engine's has moved.
func (k *line) moved(call string, n int) {
	switch {
	case n <= 0:
	case call == "recv":
		k.pulse.hear(k.sim.now)
	default:
		in := k.far.in
		p := slices.Clone(in[len(in)-n:])
		k.sim.disturbLine(k) // the session does not know yet what was taken
		if k.session.State() != session.Closed {
			k.gave(p)
		} // else it counts these bytes as unsent
	}
}

// gave is told of bytes that the kernel has taken.
func (k *line) gave(p []byte) {
	k.known += len(p)
	p = append(k.start, p...)
	at := k.known - len(p) // in the stream, of what p begins with
	for len(p) > 0 && !k.sim.failed {
		if len(k.rest) == 0 && !k.begins(p) {
			break
		}
		n := min(len(p), len(k.rest))
		if !bytes.Equal(p[:n], k.rest[:n]) {
			k.sim.failf("%s: bytes from %d on are not those of message %d", k, at, k.current.number)
		}
		k.current.gone += n
		p, k.rest, at = p[n:], k.rest[n:], at+n
		if len(k.rest) == 0 && k.current.notify && k.current.class == classOwn { // a question
			k.asked = append(k.asked, at)
		}
	}
	k.start = slices.Clone(p)
}

// begins finds out which message p begins with; false if that cannot be told yet.
func (k *line) begins(p []byte) bool {
	head, ok := codecs[k.owner.codec].head(p)
	if !ok || len(p) < head+headerBytes {
		return false
	}
	class, number := readHeader(p[head:])
	switch {
	case p[head] != mark || class != classOwn && class != classParcel:
		k.sim.failf("%s: something leaves that nobody sent", k)
	case class == classParcel:
		k.current = k.owner.ledger.begins(number)
	default:
		k.current = k.ownBegins(number)
	}
	if k.sim.failed {
		return false
	}
	k.begunSize += k.current.size
	k.rest = k.current.wire(k.owner.codec)
	return true
}

func (k *line) ownBegins(number int) *parcel {
	if number >= len(k.own) || k.own[number].begun || number > 0 && !k.own[number-1].begun {
		k.sim.failf("%s: the session's own message %d leaves out of order", k, number)
		return nil
	}
	k.own[number].begun = true
	return k.own[number]
}

// say has the session send a message of its own; one that asks is answered.
func (k *line) say(n int, asks bool) {
	p := newParcel(k.owner.codec, classOwn, len(k.own), n)
	p.notify = asks
	k.own = append(k.own, p)
	k.grows(p.size)
	body := content(classOwn, p.number, n)
	err := k.session.Send(body)
	clear(body)
	k.sim.note("%s: Send of %d: %v", k, n, err)
	switch {
	case err == nil:
	case len(k.own) != p.number+1 || p.begun:
		k.sim.failf("%s: Send failed after others could send: %v", k, err)
	case errors.Is(err, session.ErrClosed), errors.Is(err, session.ErrBufferFull):
		k.own = k.own[:p.number]
	default:
		k.sim.failf("%s: Send: %v", k, err)
	}
}

// grows is told of bytes that are about to be queued.
func (k *line) grows(n int) {
	if queued := k.session.Stats().Queued; queued > 0 {
		k.peak = max(k.peak, queued)
	}
	k.peak += n
	k.pieces += 3
}

// memory is what the connection may take in buffers at most; see track.memory.
func (k *line) memory() int64 {
	if k.session == nil || k.state == closed {
		return 0
	}
	st := k.session.Stats()
	if st.Queued == 0 {
		k.peak, k.pieces = 0, 0
	}
	return 2*k.sim.readSize + int64(4*st.Unread+512) + int64(5*max(k.peak, st.Queued)+512*(k.pieces+4*len(k.owner.ledger.open())))
}

// enter is called when a handler begins, and what it returns when it ends.
func (k *line) enter(what string) (leave func()) {
	k.sim.note("%s: %s", k, what)
	if k.inHandler || k.owner.inFunction {
		k.sim.failf("%s: %s, and another handler, or a function of the client, runs", k, what)
	}
	k.inHandler, k.enteredAt = true, k.sim.now
	return func() {
		k.inHandler = false
		k.sim.watch.took(k.sim, k.sim.now.Sub(k.enteredAt))
	}
}

// unsent is what the session has queued with the first n of some messages of its client.
func (k *line) unsent(n int, list []*parcel) int {
	sum := k.begunSize - k.known
	for _, p := range k.own {
		if !p.begun {
			sum += p.size
		}
	}
	for _, p := range list[:n] {
		if !p.begun {
			sum += p.size
		}
	}
	return sum
}

// ownUnsent counts the session's own messages that have not left in full.
func (k *line) ownUnsent() (n int) {
	for _, p := range k.own {
		if !p.sent() {
			n++
		}
	}
	return n
}

// closes is told by OnClose.
func (k *line) closes(err error) {
	s := k.sim
	if k.state != opened {
		s.failf("%s: OnClose in state %d", k, k.state)
	}
	k.state = closed
	if !errors.As(err, &k.reason) {
		s.failf("%s: OnClose got %v", k, err)
		return
	}
	s.unsent += k.reason.Unsent
	switch k.reason.Reason {
	case session.ReasonHeartbeat:
		k.pulse.check(s, k)
	case session.ReasonPeerClosed:
		if !k.near.fin {
			s.failf("%s: closed because the server has ended, which it has not", k)
		}
		if k.far.shut && !k.far.closed && k.heard != len(k.said) {
			s.failf("%s: the server has ended after %d messages, %d were delivered", k, len(k.said), k.heard)
		}
	case session.ReasonPeerReset:
		if !k.near.dead && !k.far.closed {
			s.failf("%s: closed for a reset that did not come", k)
		}
	}
}

// checkSettled looks, when nobody can do anything, for what should have been done.
func (k *line) checkSettled() {
	s := k.sim
	if k.state != opened || k.session.State() != session.Open || k.inHandler || k.owner.inFunction || k.near.dead || k.near.shut || k.far.closed || !k.near.roomy() {
		return
	}
	st := k.session.Stats()
	switch {
	case st.Queued > 0:
		s.failf("%s: there is room, and %d bytes are queued", k, st.Queued)
	case len(k.near.in) > 0 && st.Unread == 0 && s.intake == (intake{}):
		s.failf("%s: nothing keeps its loop from reading, and %d bytes wait", k, len(k.near.in))
	}
	still := len(k.near.in) == 0 && !k.near.fin && s.intake == (intake{}) && s.hands.workers() == 0 && !s.ending
	k.pulse.checkOpen(s, k, still)
}

// lineHandler is the handler of a client's sessions.
type lineHandler struct{ owner *dialler }

// OnOpen implements session.Opener.
func (h lineHandler) OnOpen(of *session.Session) {
	d, s := h.owner, h.owner.sim
	defer s.tripped()
	k := s.lineOf(of)
	k.owner, k.session = d, of
	defer k.enter("OnOpen")()
	if k.state != waiting || k.remote != d.remote || s.ids[of.ID()] {
		s.failf("%s: OnOpen in state %d, of another server, or with a number that was used", k, k.state)
	}
	if other := d.line; other != nil {
		s.failf("%s: opens, and %s has not ended", k, other)
	}
	s.ids[of.ID()] = true
	s.opened++
	k.state = opened
	of.SetValue(k)
	k.interrupt()
	if d.chance(0.1) {
		k.say(d.upTo(100), false)
	}
	d.maybe(0.01)
}

// OnMessage implements session.Handler.
func (h lineHandler) OnMessage(of *session.Session, f session.Frame) {
	d, s := h.owner, h.owner.sim
	defer s.tripped()
	k := of.Value().(*line)
	defer k.enter("OnMessage")()
	switch {
	case k.state != opened:
		s.failf("%s: OnMessage in state %d", k, k.state)
	case k.heard == len(k.said) || !bytes.Equal(k.said[k.heard], f.Bytes()):
		s.failf("%s: message %d of %d bytes is not what the server has sent", k, k.heard, f.Len())
	}
	k.heard++
	k.interrupt()
	if d.chance(0.3) {
		k.say(d.upTo(1<<10), false)
	}
	d.maybe(0.02)
}

// OnPing implements session.Pinger.
func (h lineHandler) OnPing(of *session.Session) {
	s := h.owner.sim
	defer s.tripped()
	k := of.Value().(*line)
	defer k.enter("OnPing")()
	k.pulse.pings++
	k.interrupt()
	k.say(8, true)
}

// OnClose implements session.Closer.
func (h lineHandler) OnClose(of *session.Session, reason error) {
	d, s := h.owner, h.owner.sim
	defer s.tripped()
	k := of.Value().(*line)
	defer k.enter(fmt.Sprintf("OnClose: %v", reason))()
	k.closes(reason)
	defer func() { d.closedAt = s.now }()
	k.interrupt()
	d.maybe(0.02)
	d.exit(0.02)
}

// lineOf returns the line of a session that opens.
func (s *simulation) lineOf(of *session.Session) *line {
	for _, r := range s.history {
		if uint64(r.token) == of.ID() {
			return s.lines[r.socket.port]
		}
	}
	panic(fmt.Sprintf("session %#x was never registered", of.ID()))
}

// interrupt lets others act while a handler runs, or has it block.
func (k *line) interrupt() {
	s := k.sim
	s.disturbLine(k)
	if s.hands.current != nil && s.hands.current.worker && s.quiet == 0 && !s.failed && s.crew.blocks > 0 && s.chance(s.crew.slow) {
		s.crew.blocks--
		s.hands.yield(s.now.Add(s.within(100 * time.Millisecond)))
	}
}
