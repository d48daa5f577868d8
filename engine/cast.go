package engine

import (
	"math"
	"sync"

	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Messages to all sessions, or to some by id, without a group.

// Broadcast sends p to every session that is open, framed by each one's codec; those
// that open or close meanwhile may get it or not. It is copied once and written by the
// loops; Broadcast does not wait for that, nor for slow sessions: one whose queue has no
// room for it does not get it, as if Send had returned ErrBufferFull. Stats.Cast and
// Stats.CastRefused count. Any goroutine may call it. Messages arrive in the order of
// the calls, those of SendTo included; there is none between them and Session.Send.
//
// It returns session.ErrBufferFull if loops have not yet got round to more messages of
// this kind than the cap of a session's output, and ErrStopped after the engine's end.
func (e *Engine) Broadcast(p []byte) error {
	if e.hasEnded() {
		return ErrStopped
	}
	c, err := session.NewCast(&e.shared, p, len(e.loops), transport.Key{})
	if err != nil {
		return err
	}
	for _, l := range e.loops {
		l.caster.put(castOrder{cast: c, all: true})
	}
	return nil
}

func (e *Engine) hasEnded() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

// SendTo is Broadcast to the sessions with these ids. It returns how many of them were
// there; with an error nobody gets the message.
func (e *Engine) SendTo(ids []uint64, p []byte) (found int, err error) {
	to := make([][]*session.Session, len(e.loops))
	loops := 0
	for _, id := range ids {
		s, err := e.Session(id)
		if err != nil {
			continue
		}
		found++
		list := &to[e.shared.LoopOf(id)]
		if *list == nil {
			loops++
		}
		*list = append(*list, s)
	}
	if found == 0 {
		return 0, nil // as after the engine's end
	}
	c, err := session.NewCast(&e.shared, p, loops, transport.Key{})
	if err != nil {
		return 0, err
	}
	for i, list := range to {
		if list != nil {
			e.loops[i].caster.put(castOrder{cast: c, list: list})
		}
	}
	return found, nil
}

// A caster is a loop's queue of such messages. It gives them one after the other.
type caster struct {
	loop   *loop
	errand transport.Errand
	held   transport.Held

	mu      sync.Mutex
	waiting fifo.Queue[castOrder] // any goroutine adds, the loop takes

	// The loop's.
	now  castOrder // what is being given; nil cast if nothing is
	next int       // of its sessions: index in the list, or slot
}

// castOrder is a message and who gets it on this loop.
type castOrder struct {
	cast *session.Cast
	all  bool
	list []*session.Session // who, unless all
}

// castsPerTurn is how many sessions are given a message in a turn. At some
// microseconds each, the others wait for about a millisecond.
const castsPerTurn = 128

func (k *caster) init(l *loop) {
	k.loop = l
	k.errand.Run = k.run
	k.held.Go = func() { l.mail.leave(&k.errand) }
}

func (k *caster) put(o castOrder) {
	k.mu.Lock()
	k.waiting.Put(o)
	k.mu.Unlock()
	k.loop.engine.shared.Cork.Hold(&k.held)
}

// run is the errand. On the loop.
func (k *caster) run() {
	for gives := castsPerTurn; k.take(); k.finish() {
		if gives = k.giveAll(gives); gives < 0 {
			k.loop.mail.leave(&k.errand) // the others first
			return
		}
	}
}

// workOff gives everything that waits, in one turn, even if the loop has not been told
// yet. On the loop.
func (k *caster) workOff() {
	k.mu.Lock()
	waiting := k.waiting.Len()
	k.mu.Unlock()
	if k.now.cast != nil {
		waiting++
	}
	for ; waiting > 0 && k.take(); waiting-- {
		k.giveAll(math.MaxInt)
		k.finish()
	}
}

// giveAll gives the message to those who have not been given it, but to so many at most.
// It returns how many more it might have been; -1 if there may be others.
func (k *caster) giveAll(most int) int {
	for ; most > 0; most-- {
		s := k.following()
		if s == nil {
			return most
		}
		if session.Drive(s, transport.Key{}).Cast(k.now.cast) {
			k.loop.stats.cast.Add(1)
		} else {
			k.loop.stats.castRefused.Add(1)
		}
	}
	return -1
}

// finish ends the message: everybody has been given it.
func (k *caster) finish() {
	k.now.cast.Done()
	k.now = castOrder{}
}

// take begins with the next message, unless one is being given.
func (k *caster) take() bool {
	if k.now.cast != nil {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting.Len() == 0 {
		return false
	}
	k.now, k.next = k.waiting.Take(), 0
	return true
}

// following returns the next session to be given the message, nil after the last.
func (k *caster) following() *session.Session {
	if !k.now.all {
		if k.next == len(k.now.list) {
			return nil
		}
		k.next++
		return k.now.list[k.next-1]
	}
	for last := int(k.loop.slots.count()); k.next < last; {
		c := k.loop.slots.at(uint32(k.next))
		k.next++
		if s := c.session.Load(); s != nil && s.State() == session.Open {
			return s
		}
	}
	return nil
}
