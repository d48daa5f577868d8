package enginetest

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

// peer is a client. It sends numbered bytes, and reads what comes back.
type peer struct {
	sim    *simulation
	track  *track
	addr   net.Addr
	socket *socket // nil: not connected yet
	fate   fate

	total    int // bytes that it wants to send
	sent     int
	received int
	limit    int // bytes after which fate strikes
	toServer int // kernel's buffers
	toClient int
	patient  bool          // ends only when everything it sent was delivered
	lazy     float64       // how often it is idle
	nap      time.Duration // for how long at most
	urgent   float64       // how often it sends urgent data
	dawdles  bool          // what it sends ends in the middle of the next frame

	idleUntil time.Time // connects then, or goes on
	mustMove  bool      // has just been idle
	after     *peer     // connects when that one is done
	quitAt    time.Time // goes away then
	sawEnd    bool
	done      bool
}

// slack is how often a client is idle that keeps up.
const slack = 0.01

// fate is what becomes of a client.
type fate uint8

const (
	honest fate = iota
	resets      // in the middle, with RST
	quits       // in the middle, with whatever close does
	deaf        // never reads
	silent      // says nothing
	drips       // stops in the middle of what it says
	fates
)

func (p *peer) String() string {
	if p.done {
		return ""
	}
	if p.socket == nil {
		return "a client that is not connected"
	}
	return fmt.Sprintf("%s: fate %d, sent %d of %d, ended: %v; delivered %d, received %d of %d, end seen: %v; session: %d",
		p.track, p.fate, p.sent, p.total, p.socket.shut, p.track.delivered, p.received, len(p.track.out.wire), p.sawEnd, p.track.state)
}

func (p *peer) wakes() time.Time {
	switch {
	case p.done || p.after != nil && !p.after.done:
		return time.Time{}
	case p.idleUntil.After(p.sim.now):
		return p.idleUntil
	case p.quitAt.After(p.sim.now):
		return p.quitAt
	}
	return time.Time{}
}

func (p *peer) idle() bool { return p.sim.now.Before(p.idleUntil) }

func (p *peer) ready() bool {
	if p.done || p.idle() || p.after != nil && !p.after.done {
		return false
	}
	return p.socket == nil || p.timeUp() || p.canRead() || p.canSend() || p.canFinish()
}

func (p *peer) timeUp() bool { return !p.quitAt.IsZero() && !p.sim.now.Before(p.quitAt) }

func (p *peer) canRead() bool {
	s := p.socket
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	if p.fate == deaf {
		return s.dead
	}
	return len(s.in) > 0 || !p.sawEnd && (s.fin || s.dead || s.failure != 0)
}

func (p *peer) canSend() bool {
	s := p.socket
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	return p.sent < p.goal() && !s.shut && !s.dead && (s.peer.closed || len(s.peer.in) < s.peer.limit)
}

// goal is how many bytes it is going to send.
func (p *peer) goal() int {
	if p.fate == drips {
		return min(p.total, p.limit)
	}
	return p.total
}

func (p *peer) canFinish() bool {
	if p.sawEnd && (p.socket.peer.closed || p.socket.dead) {
		return true
	}
	if p.fate == silent || p.sent < p.total || p.fate == deaf || p.fate == drips {
		return false
	}
	if !p.socket.shut {
		return !p.patient || p.sawEnd || p.track.delivered == p.total || p.track.meddled
	}
	return p.sawEnd
}

func (p *peer) step() {
	s := p.sim
	switch {
	case p.socket == nil:
		p.connect()
		return
	case p.timeUp() || (p.fate == resets || p.fate == quits) && p.sent+p.received >= p.limit:
		p.leave(p.fate == resets)
		return
	case !p.mustMove && p.track.chance(p.lazy):
		p.idleUntil, p.mustMove = s.now.Add(p.track.within(p.nap)), true
		s.note("%s: the client is idle", p.track)
		return
	}
	p.mustMove = false
	read, send := p.canRead(), p.canSend()
	switch {
	case read && (!send || p.track.chance(0.5)):
		p.read()
	case send:
		p.send()
	case p.canFinish():
		p.finish()
	}
}

func (p *peer) connect() {
	socket, err := p.sim.network.connect(p.addr, p.toServer, p.toClient)
	if err != nil {
		p.sim.note("a client cannot connect")
		p.done = true
		return
	}
	p.socket = socket
	p.track.port = socket.port
	p.sim.byPort[socket.port] = p.track
	p.sim.note("%s connects: %s, fate %d, %d bytes", p.track, p.track.plan.manner, p.fate, p.total)
	if p.fate == resets && p.limit == 0 {
		p.leave(true)
	}
}

func (p *peer) read() {
	buf := make([]byte, p.track.upTo(64<<10))
	n, errno := p.socket.recv(buf)
	switch {
	case errno == syscall.EAGAIN:
		p.sim.failf("%s: the client was told to read, and cannot", p.track)
	case errno != 0:
		p.leave(false)
	case n == 0 && p.socket.dead && !p.socket.fin:
		p.leave(false)
	case n == 0:
		p.sawEnd = true
	default:
		p.track.receive(p.received, buf[:n])
		p.received += n
	}
}

func (p *peer) send() {
	n := p.track.upTo(p.goal() - p.sent)
	if p.dawdles {
		rest, next := p.track.speech.ahead(p.sent)
		n = min(rest+p.track.upTo(next), p.goal()-p.sent)
	}
	if p.track.chance(p.urgent) {
		p.socket.network.shout(p.socket)
	}
	// What the server does at once must not be more than was sent.
	p.sent += min(n, p.socket.peer.limit-len(p.socket.peer.in))
	before := p.sent - min(n, p.socket.peer.limit-len(p.socket.peer.in))
	m, errno := p.socket.send([][]byte{p.track.sends(before, p.sent-before)})
	p.sent = before + m
	if errno != 0 && errno != syscall.EAGAIN {
		p.leave(false)
	}
}

// finish sends FIN, and closes when the other side has done so, too.
func (p *peer) finish() {
	if !p.socket.shut && !p.socket.dead {
		p.sim.note("%s: the client ends", p.track)
		p.socket.network.ends(p.socket)
		return
	}
	p.leave(false)
}

// leave closes the client's end.
func (p *peer) leave(rst bool) {
	p.sim.note("%s: the client leaves, reset: %v", p.track, rst)
	w := p.socket.network
	w.mu.Lock()
	defer w.mu.Unlock()
	p.socket.close(rst && !p.socket.unix)
	p.done = true
}

// ends is ShutdownWrite for a socket without a number.
func (w *network) ends(s *socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.shutdown()
}
