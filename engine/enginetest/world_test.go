package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// world is what is known of all connections, from outside the engine.
type world struct {
	tracks    []*track // in order of connecting
	crowd     *crowd   // nil: there are no groups
	plane     *plane   // nil: there is no backplane
	casts     *casts   // nil: nobody sends any
	letters   bool     // somebody calls what may wait
	pooled    bool     // mode pool
	unread    int      // bytes that a strand may hold
	rejects   bool     // sessions that no worker is found for are closed
	codec     int      // of connections that do not choose another
	deadlines deadlines
	intake    intake
	placement placement
	byPort    map[uint16]*track
	ids       map[uint64]bool

	low, high, cap int   // of a session's output, bytes
	total          int64 // of all sessions' output, bytes; 0: no limit
	opened         int
	unsent         int // as OnClose told
}

// track follows one connection from both ends.
type track struct {
	draws
	name string
	sim  *simulation
	plan plan
	port uint16
	peer *peer

	session *session.Session
	state   trackState
	reason  *session.CloseError

	codec     int    // that the session has now
	delivered int    // bytes from the client that the handler saw, all in order
	speech    speech // what the client sends, if it is frames
	largest   int    // message in bytes
	messages  int
	handled   int // bytes of the message that a handler is seeing
	out       outlet

	stays        []*stay // in groups, in the order of joining
	lags         []bool  // what OnLag told last, by group
	letters      []*letter
	lettersTaken int
	casts        int // that came

	strand  errands
	flow    flow
	clock   clockwork
	context context.Context // of the session; nil: nobody asked for it

	inHandler  bool
	enteredAt  time.Time // the handler that runs
	writing    int       // Sends under way
	meddled    bool      // somebody did what may cut it short
	postedLate bool      // somebody left a task while it ended
	pushed     bool      // somebody else than the handler sent
	paused     bool
	excess     int  // messages while paused
	answered   bool // OnPeerClose leaves the rest to the janitor

	peak     int  // the most bytes that waited since none did
	pieces   int  // sent since then
	pinned   bool // a read segment may have to be kept until then
	lastSent uint64
	stuckAt  time.Time // when the waiting bytes were seen not to move, by idled
	endedAt  time.Time // when our FIN was seen, by idled

	owned    int // release functions given away
	released int
	retained []session.Frame
}

type trackState uint8

const (
	waiting trackState = iota
	opened
	closed
)

func (t *track) String() string { return fmt.Sprintf("%s (%d)", t.name, t.port) }

// framed tells whether the client speaks in frames, at least at first.
func (t *track) framed() bool { return t.plan.codec != 0 }

// numbers is what clients send: each connection begins somewhere else, so that
// bytes of another place or connection are noticed. The period is a prime, above
// the size of any read.
const period = 262_147

var numbers = func() []byte {
	b := make([]byte, 2*period)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range period {
		for b[i] = byte(rng.Uint32()); b[i] == mark || b[i] == '\r' || b[i] == '\n'; { // a delimiter's
			b[i]++
		}
	}
	copy(b[period:], b[:period])
	return b
}()

// sends are at most n of the bytes that the client sends from pos on.
func (t *track) sends(pos, n int) []byte {
	if t.framed() {
		return t.speech.wire[pos:min(pos+n, len(t.speech.wire))]
	}
	at := (int(t.port)*4093 + pos) % period
	return numbers[at : at+min(n, period)]
}

// find returns the connection of a session that opens, and says when its loop took it. It
// may have closed already.
func (s *simulation) find(of *session.Session) *track {
	for _, r := range s.history {
		if uint64(r.token) == of.ID() {
			t := s.byPort[r.socket.port]
			t.clock.begun = r.at
			return t
		}
	}
	panic(fmt.Sprintf("session %#x was never registered", of.ID()))
}

// open is told by OnOpen.
func (t *track) open(s *session.Session) {
	w := &t.sim.world
	t.sim.note("%s opens as %#x", t, s.ID())
	if t.state != waiting {
		t.sim.failf("%s: OnOpen again", t)
	}
	if w.ids[s.ID()] {
		t.sim.failf("%s: id %#x was used before", t, s.ID())
	}
	w.ids[s.ID()] = true
	w.opened++
	t.state, t.session = opened, s
	t.codec = t.sim.codec
	_, t.flow.watched = t.sim.handler.(session.FlowWatcher)
	t.clock.open(t.sim.now)
	w.placement.check(t)
	s.SetValue(t)
	if t.chance(0.1) {
		t.context = s.Context()
	}
}

// message is told by OnMessage.
func (t *track) message(p []byte) {
	s := t.sim
	s.note("%s delivers %d from %d", t, len(p), t.delivered)
	wire := len(p)
	switch {
	case t.state != opened:
		s.failf("%s: OnMessage in state %d", t, t.state)
	case t.inHandler:
		s.failf("%s: handlers overlap", t)
	case t.codec != 0:
		wire = t.framedMessage(p)
	case len(p) == 0:
		s.failf("%s: empty message", t)
	case !bytes.Equal(p, t.sends(t.delivered, len(p))):
		s.failf("%s: delivered bytes from %d on are not those that were sent", t, t.delivered)
	}
	t.messages++
	t.delivered += wire
	t.handled = wire
	s.intake.checkMessage(t)
	if t.delivered > t.peer.sent {
		s.failf("%s: more is delivered than was sent", t)
	}
	t.pinned = t.pinned || t.writing > 0
	// When nothing can leave any more, the rest is read all the same.
	failing := t.peer.socket.closed || t.peer.socket.dead
	if t.paused && !failing {
		if t.excess++; t.excess > 1 {
			s.failf("%s: %d messages while reading is paused", t, t.excess)
		}
	}
	if queued := t.session.Stats().Queued; !t.pushed && !failing && queued >= s.high {
		s.failf("%s: a message while %d bytes are queued, above high water", t, queued)
	}
}

// framedMessage checks a message that is to be a frame of the client's, and returns how
// long that is.
func (t *track) framedMessage(p []byte) int {
	if t.messages == len(t.speech.bodies) {
		t.sim.failf("%s: a message, and the client sent only %d", t, t.messages)
		return 0
	}
	if !bytes.Equal(p, t.speech.bodies[t.messages]) {
		t.sim.failf("%s: message %d is not what was sent", t, t.messages)
	}
	return t.speech.sizes[t.messages]
}

// close is told by OnClose.
func (t *track) close(err error) {
	s := t.sim
	s.note("%s closes: %v", t, err)
	if t.state != opened || t.inHandler {
		s.failf("%s: OnClose in state %d", t, t.state)
	}
	t.state = closed
	if !errors.As(err, &t.reason) {
		s.failf("%s: OnClose got %v", t, err)
		return
	}
	s.unsent += t.reason.Unsent
	s.deadlines.checkClosed(t)
	t.strand.checkClosed(t)
	if t.context != nil && context.Cause(t.context) != err {
		s.failf("%s: its context ends with %v, OnClose got %v", t, context.Cause(t.context), err)
	}
	if t.writing == 0 && !t.unsentMayBe(t.reason.Unsent) {
		s.failf("%s: Send took %d bytes, of which %d are left, %d of a group's message; %d are unsent",
			t, len(t.out.direct), t.out.waiting(), len(t.out.rest), t.reason.Unsent)
	}
	if t.session.State() != session.Closed {
		s.failf("%s: OnClose in state %v", t, t.session.State())
	}
	for _, f := range t.retained {
		f.Release()
	}
	t.retained = nil
}

// send gives p to one of the ways to send, and remembers it if it was taken. The
// order is fixed before the call: others may send before it returns.
func (t *track) send(p []byte, way string, call func() error) error {
	s, o := t.sim, &t.out
	before := len(o.direct)
	wire, refused := framed(t.codec, p)
	o.direct = append(o.direct, wire...)
	after := len(o.direct)
	o.ends = append(o.ends, after)
	t.largest = max(t.largest, len(wire))
	t.peak = max(t.peak, t.waiting())
	t.pieces += 3
	err := call()
	s.note("%s: %s of %d: %v", t, way, len(p), err)
	var bad *frame.Error
	switch {
	case err == nil && refused != nil:
		s.failf("%s: %s took what is no frame: %v", t, way, refused)
	case err == nil:
		o.accepted++
		if way == "SendAndClose" && len(o.direct) != after {
			s.failf("%s: others sent after the last message", t)
		}
	case len(o.direct) != after:
		s.failf("%s: %s failed after others could send: %v", t, way, err)
	case errors.Is(err, session.ErrClosed), errors.Is(err, session.ErrBufferFull), errors.As(err, &bad) && refused != nil,
		errors.Is(err, session.ErrMailboxFull) && way == "SendNotify":
		o.undo(before)
	default:
		s.failf("%s: %s: %v", t, way, err)
	}
	if queued := t.session.Stats().Queued; queued > max(s.cap, s.high-1+t.largest)+t.slack() {
		s.failf("%s: %d bytes are queued", t, queued)
	}
	return err
}

// slack is what may be queued beyond what Send was asked for: heads of frames, and the
// rest of a group's message, bytes.
func (t *track) slack() (n int) {
	if t.framed() {
		n = 16
	}
	if len(t.stays) > 0 {
		n += t.sim.crowd.largest + 16
	}
	if c := t.sim.casts; c != nil {
		n += c.most + 16
	}
	return n
}

// sendOwned sends memory that must come back once.
func (t *track) sendOwned(p []byte, release func()) error {
	returned := false
	t.owned++
	err := t.send(p, "SendOwned", func() error {
		return t.session.SendOwned(p, func() {
			if returned {
				t.sim.failf("%s: memory released twice", t)
			}
			returned = true
			t.released++
			release()
		})
	})
	if err != nil {
		if returned {
			t.sim.failf("%s: memory released although SendOwned failed", t)
		}
		t.owned--
		release()
	}
	return err
}

// waiting is how many bytes Send has taken and the kernel has not.
func (t *track) waiting() int {
	if t.state == closed {
		return 0
	}
	return t.out.waiting() - t.out.lost
}

// memory is what the connection may take in buffers at most: four times what
// waits or waited, as a kept frame fills a quarter of its segment; once more for
// such a frame that was given to SendOwned; and a little per piece. In the middle of a write the kernel
// may have it all while the session has not yet let go of it.
func (t *track) memory() (limit int64) {
	if t.waiting() == 0 && (t.session == nil || t.session.Stats().Queued == 0) {
		t.peak, t.pieces, t.pinned = 0, 0, false
	}
	if t.pinned {
		limit = t.sim.readSize * int64(t.messages)
	}
	if t.sim.pooled {
		limit += t.sim.readSize + int64(4*(t.peer.sent-t.delivered)+512) // what its strand has
		limit += max(t.sim.readSize, int64(4*t.handled+512))             // what its handler sees
	}
	for _, f := range t.retained {
		limit += int64(4*f.Len() + 512)
	}
	if t.session != nil {
		st := t.session.Stats()
		if st.Unread > 0 {
			limit += int64(4*st.Unread + 512)
		}
		if t.framed() && st.Unread > 0 && !t.paused && st.Queued < t.sim.high {
			limit += t.sim.readSize // its handlers are at work, or about to be
		}
	}
	return limit + int64(5*t.peak+512*t.pieces)
}

// checkMemory compares what the engine's buffers take with what is queued.
func (s *simulation) checkMemory() {
	limit := int64(len(s.loops)+1) * s.readSize // a loop that ended may be about to release its own
	limit += s.crowd.memory()
	if s.casts != nil {
		limit += 4 * s.casts.bytes * int64(len(codecs))
	}
	for _, t := range s.tracks {
		if t.peer.socket != nil {
			limit += t.memory()
		}
	}
	for _, d := range s.diallers {
		for _, k := range d.remote.lines {
			if k.owner == d {
				limit += k.memory()
			}
		}
	}
	if use := s.engine.Stats().Memory.Buffers.InUse; use > limit {
		s.failf("%d bytes of buffers are in use, at most %d should be", use, limit)
	}
}

// checkRead looks, when a loop is about to read, whether handlers have enough to do.
func (t *track) checkRead() {
	s := t.sim
	if t.session == nil || t.session.State() != session.Open {
		return
	}
	s.intake.checkRead(t)
	if !s.pooled {
		return
	}
	limit := max(s.unread, t.speech.largest)
	if unread := t.session.Stats().Unread; unread > limit {
		s.failf("%s: is read, and %d bytes wait for its handlers, above %d", t, unread, limit)
	}
}

// checkDeadlines looks for what should have happened before now.
func (s *simulation) checkDeadlines() {
	const grace = 50 * time.Millisecond
	for _, t := range s.tracks {
		if t.state != opened {
			continue
		}
		local := t.peer.socket.peer
		stuck := t.waiting() > 0 && local.sent == t.lastSent && !t.peer.socket.closed && !local.dead && t.session.State() != session.Closed
		t.lastSent = local.sent
		if s.lasts(stuck, &t.stuckAt) > stall+grace {
			s.failf("%s: output stalls since %v", t, t.stuckAt)
		}
		if s.lasts(local.shut && t.session.State() == session.Draining, &t.endedAt) > linger+grace {
			s.failf("%s: lingers since %v", t, t.endedAt)
		}
		s.deadlines.checkOpen(t)
		s.checkTold(t)
	}
	for _, d := range s.diallers {
		d.checkTime()
		if d.line != nil {
			d.line.checkSettled()
		}
	}
}

// checkTold looks for a session that does not know what its loop should have told it:
// that the peer has reset it, or that the engine ends. Where handlers may be behind
// nothing is said.
func (s *simulation) checkTold(t *track) {
	const grace = 100 * time.Millisecond
	if t.session.State() != session.Open || s.pooled || s.intake != (intake{}) || t.session.Stats().Unread > 0 {
		return
	}
	switch {
	case t.paused && t.peer.socket.peer.dead:
		s.failf("%s: paused, reset by its client, and open", t)
	case s.ending && s.idled().Sub(s.endedAt) > s.spread+grace:
		s.failf("%s: open %v after the engine was told to end", t, s.idled().Sub(s.endedAt))
	}
}

// idled is a clock that stands still while somebody runs: loops that are held up notice
// nothing.
func (s *simulation) idled() time.Time { return s.now.Add(-s.drift) }

// lasts tells for how long something has been true, by that clock. Since is when that began.
func (s *simulation) lasts(is bool, since *time.Time) time.Duration {
	switch {
	case !is:
		*since = time.Time{}
	case since.IsZero():
		*since = s.idled()
	default:
		return s.idled().Sub(*since)
	}
	return 0
}

// Deadlines of the engine's.
const (
	stall  = 5 * time.Second
	linger = 2 * time.Second
)

// receive is told what the client reads.
func (t *track) receive(pos int, p []byte) {
	if pos+len(p) > len(t.out.wire) || !bytes.Equal(p, t.out.wire[pos:pos+len(p)]) {
		t.sim.failf("%s: received bytes from %d on are not those that were sent", t, pos)
	}
}

// tooMuch tells whether the session was closed because frames whose end had not come took
// what all sessions together may hold.
func (t *track) tooMuch() bool {
	return t.sim.total > 0 && t.reason.Reason == session.ReasonOverLimit && errors.Is(t.reason.Err, session.ErrUnreadFull)
}

// check is what must hold at the end.
func (t *track) check() {
	s, p := t.sim, t.peer
	if t.state == waiting {
		if t.delivered+len(t.out.direct) > 0 {
			s.failf("%s: traffic without OnOpen", t)
		}
		return
	}
	if t.state != closed {
		s.failf("%s: opened and never closed", t)
		return
	}
	if t.out.waiting() > t.out.lost+len(t.out.undecided)+t.reason.Unsent {
		s.failf("%s: Send took %d bytes, %d of them did not leave, only %d are unsent",
			t, len(t.out.direct), t.out.waiting(), t.reason.Unsent)
	}
	t.strand.check(t)
	if t.owned != t.released {
		s.failf("%s: %d pieces of memory given away, %d came back", t, t.owned, t.released)
	}
	silently := p.socket.unix && (t.meddled || t.tooSlow()) // unix sockets have no RST
	if missing := len(t.out.wire) - p.received + t.out.waiting() + len(t.out.rest); p.sawEnd && !silently && missing+len(t.out.undecided) != 0 {
		s.failf("%s: the client saw the end after %d bytes, %d are missing", t, p.received, missing)
	}
	if t.out.lost == 0 && len(t.out.undecided) == 0 {
		got, want := int(t.session.Stats().MessagesOut), t.out.accepted+t.seen()+t.lettersTaken
		if got < want+t.casts || s.casts == nil && got > want {
			s.failf("%s: %d messages went out, %d were counted", t, want+t.casts, got)
		}
	}
	if t.meddled || p.fate != honest || t.tooSlow() || t.tooMuch() {
		return
	}
	if t.delivered != p.total || !p.sawEnd {
		s.failf("%s: %d of %d bytes arrived, end seen: %v, reason: %v", t, t.delivered, p.total, p.sawEnd, t.reason)
	}
	if t.reason.Reason != session.ReasonPeerClosed {
		s.failf("%s: closed for no reason: %v", t, t.reason)
	}
}
