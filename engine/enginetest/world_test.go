package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/weirnet/weir/session"
)

// world is what is known of all connections, from outside the engine.
type world struct {
	tracks []*track // in order of connecting
	byPort map[uint16]*track
	ids    map[uint64]bool

	high, cap int // of a session's output, bytes
	opened    int
	unsent    int // as OnClose told
}

// track follows one connection from both ends.
type track struct {
	sim  *simulation
	plan plan
	port uint16
	peer *peer

	session *session.Session
	state   trackState
	reason  *session.CloseError

	delivered int    // bytes from the client that the handler saw, all in order
	expected  []byte // bytes to the client that Send took, in the order it took them
	largest   int    // message in bytes
	messages  int

	inHandler bool
	writing   int  // Sends under way
	meddled   bool // somebody did what may cut it short
	pushed    bool // somebody else than the handler sent
	paused    bool
	excess    int  // messages while paused
	answered  bool // OnPeerClose leaves the rest to the janitor

	peak     int  // the most bytes that waited since none did
	pieces   int  // sent since then
	pinned   bool // a read segment may have to be kept until then
	lastSent uint64
	stuckAt  time.Time // when the waiting bytes were seen not to move
	endedAt  time.Time // when our FIN was seen

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

func (t *track) String() string { return fmt.Sprintf("connection %d", t.port) }

// numbers is what clients send: each connection begins somewhere else, so that
// bytes of another place or connection are noticed. The period is a prime, above
// the size of any read.
const period = 262_147

var numbers = func() []byte {
	b := make([]byte, 2*period)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range period {
		b[i] = byte(rng.Uint32())
	}
	copy(b[period:], b[:period])
	return b
}()

// sends are at most n of the bytes that the client sends from pos on.
func (t *track) sends(pos, n int) []byte {
	at := (int(t.port)*4093 + pos) % period
	return numbers[at : at+min(n, period)]
}

// find returns the connection of a session that opens.
func (w *world) find(s *session.Session) *track {
	var number string
	if addr, ok := s.RemoteAddr().(*net.TCPAddr); ok {
		number = strconv.Itoa(addr.Port)
	} else {
		_, number, _ = strings.Cut(s.LocalAddr().String(), "#")
	}
	port, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	return w.byPort[uint16(port)]
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
	s.SetValue(t)
}

// message is told by OnMessage.
func (t *track) message(p []byte) {
	s := t.sim
	s.note("%s delivers %d from %d", t, len(p), t.delivered)
	t.messages++
	switch {
	case t.state != opened:
		s.failf("%s: OnMessage in state %d", t, t.state)
	case t.inHandler:
		s.failf("%s: handlers overlap", t)
	case len(p) == 0:
		s.failf("%s: empty message", t)
	case !bytes.Equal(p, t.sends(t.delivered, len(p))):
		s.failf("%s: delivered bytes from %d on are not those that were sent", t, t.delivered)
	case t.delivered+len(p) > t.peer.sent:
		s.failf("%s: more is delivered than was sent", t)
	}
	t.delivered += len(p)
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
	sent := int(t.peer.socket.peer.sent)
	if t.writing == 0 && sent+t.reason.Unsent != len(t.expected) {
		s.failf("%s: Send took %d bytes, the kernel %d, %d are unsent", t, len(t.expected), sent, t.reason.Unsent)
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
	s, before := t.sim, len(t.expected)
	t.expected = append(t.expected, p...)
	t.largest = max(t.largest, len(p))
	t.peak = max(t.peak, t.waiting())
	t.pieces++
	err := call()
	s.note("%s: %s of %d: %v", t, way, len(p), err)
	switch {
	case err == nil && way == "SendAndClose" && len(t.expected) != before+len(p):
		s.failf("%s: others sent after the last message", t)
	case err == nil:
	case len(t.expected) != before+len(p):
		s.failf("%s: %s failed after others could send: %v", t, way, err)
	case errors.Is(err, session.ErrClosed) || errors.Is(err, session.ErrBufferFull):
		t.expected = t.expected[:before]
	default:
		s.failf("%s: %s: %v", t, way, err)
	}
	if queued := t.session.Stats().Queued; queued > max(s.cap, s.high-1+t.largest) {
		s.failf("%s: %d bytes are queued", t, queued)
	}
	return err
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
	return len(t.expected) - int(t.peer.socket.peer.sent)
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
		limit = readSize * int64(t.messages)
	}
	for _, f := range t.retained {
		limit += int64(4*f.Len() + 512)
	}
	if t.session != nil {
		if unread := t.session.Stats().Unread; unread > 0 {
			limit += int64(4*unread + 512)
		}
	}
	return limit + int64(5*t.peak+512*t.pieces)
}

// readSize is what a loop reads into, bytes.
const readSize = 64 << 10

// checkMemory compares what the engine's buffers take with what is queued.
func (s *simulation) checkMemory() {
	limit := int64(len(s.loops)) * readSize // a loop that ended may be about to release its own
	for _, t := range s.tracks {
		if t.peer.socket != nil {
			limit += t.memory()
		}
	}
	if use := s.engine.Stats().Memory.Buffers.InUse; use > limit {
		s.failf("%d bytes of buffers are in use, at most %d should be", use, limit)
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
		stuck := t.waiting() > 0 && local.sent == t.lastSent
		t.lastSent = local.sent
		if s.lasts(stuck, &t.stuckAt) > stall+grace {
			s.failf("%s: output stalls since %v", t, t.stuckAt)
		}
		if s.lasts(local.shut && t.session.State() == session.Draining, &t.endedAt) > linger+grace {
			s.failf("%s: lingers since %v", t, t.endedAt)
		}
	}
}

// lasts tells for how long something has been true. Since is when that began.
func (s *simulation) lasts(is bool, since *time.Time) time.Duration {
	switch {
	case !is:
		*since = time.Time{}
	case since.IsZero():
		*since = s.now
	default:
		return s.now.Sub(*since)
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
	switch {
	case pos+len(p) > len(t.expected):
		t.sim.failf("%s: received %d bytes, %d were sent", t, pos+len(p), len(t.expected))
	case !bytes.Equal(p, t.expected[pos:pos+len(p)]):
		t.sim.failf("%s: received bytes from %d on are not those that were sent", t, pos)
	}
}

// check is what must hold at the end.
func (t *track) check() {
	s, p := t.sim, t.peer
	if t.state == waiting {
		if t.delivered+len(t.expected) > 0 {
			s.failf("%s: traffic without OnOpen", t)
		}
		return
	}
	if t.state != closed {
		s.failf("%s: opened and never closed", t)
		return
	}
	sent := int(p.socket.peer.sent)
	if len(t.expected) > sent+t.reason.Unsent {
		s.failf("%s: Send took %d bytes, the kernel %d, only %d are unsent", t, len(t.expected), sent, t.reason.Unsent)
	}
	if t.owned != t.released {
		s.failf("%s: %d pieces of memory given away, %d came back", t, t.owned, t.released)
	}
	silently := p.socket.unix && t.meddled // unix sockets have no RST
	if p.sawEnd && !silently && p.received != len(t.expected) {
		s.failf("%s: the client saw the end after %d of %d bytes", t, p.received, len(t.expected))
	}
	if t.meddled || p.fate != honest {
		return
	}
	if t.delivered != p.total || !p.sawEnd {
		s.failf("%s: %d of %d bytes arrived, end seen: %v, reason: %v", t, t.delivered, p.total, p.sawEnd, t.reason)
	}
	if t.reason.Reason != session.ReasonPeerClosed {
		s.failf("%s: closed for no reason: %v", t, t.reason)
	}
}
