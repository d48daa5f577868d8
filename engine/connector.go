package engine

import (
	"sync"

	"github.com/weirnet/weir/internal/fifo"
)

// connector bounds how many attempts the clients of an engine have under way, in all and to
// one address. Those who have to wait do so in a lane for each address, and lanes take
// turns, so that addresses that do not answer cannot keep the others from dialling. Who
// waits has no goroutine; that of an attempt which is over makes the next one.
type connector struct {
	clients *clients
	limits  connectLimits

	mu    sync.Mutex
	under int              // attempts under way
	lanes map[target]*lane // that are used
	turns fifo.Queue[*lane]
}

// connectLimits are those of WithDialLimit.
type connectLimits struct{ total, perAddress int }

// target is what is dialled.
type target struct{ network, address string }

// lane is an address that is dialled, or that somebody waits to dial.
type lane struct {
	to      target
	under   int // attempts under way
	waiting fifo.Queue[*ticket]
	listed  bool // in turns: somebody waits, and there is room for this address
}

// ticket is somebody who waits.
type ticket struct {
	client *Client
	turn   uint64        // of the client, when it began to wait
	given  chan struct{} // closed when it is its turn, if it has a goroutine, as Connect does
	gone   bool          // it waits no more
}

func (x *connector) start(all *clients, limits connectLimits) {
	x.clients, x.limits, x.lanes = all, limits, make(map[target]*lane)
}

// work has t dial when it is its turn: now, on this goroutine, or later on another.
func (x *connector) work(t *ticket) {
	if x.enter(t) {
		x.run(t)
	}
}

// run dials for t, which has a place, and then for those whose turn it is.
func (x *connector) run(t *ticket) {
	for ; t != nil; t = x.leave(t.client.target) {
		t.client.dialAt(t.turn)
	}
}

// pass gives up the place of somebody who has a goroutine for other things.
func (x *connector) pass(to target) {
	if t := x.leave(to); t != nil {
		x.clients.after(0, func() { x.run(t) })
	}
}

// enter takes a place, or has t wait and reports false.
func (x *connector) enter(t *ticket) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.lanes[t.client.target]
	if l == nil {
		l = &lane{to: t.client.target}
		x.lanes[t.client.target] = l
	}
	if x.under < x.limits.total && l.under < x.limits.perAddress {
		x.under++
		l.under++
		return true
	}
	l.waiting.Put(t)
	x.list(l)
	return false
}

// leave gives up a place, and returns who has it now and is to be run; nil if nobody is.
func (x *connector) leave(to target) *ticket {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.lanes[to]
	x.under--
	l.under--
	x.list(l)
	t := x.next()
	x.drop(l)
	if t == nil || t.given == nil {
		return t
	}
	close(t.given)
	return nil
}

// next gives a place to the first of the lane whose turn it is.
func (x *connector) next() *ticket {
	for x.turns.Len() > 0 {
		l := x.turns.Take()
		l.listed = false
		for l.waiting.Len() > 0 {
			t := l.waiting.Take()
			if t.gone {
				continue
			}
			x.under++
			l.under++
			x.list(l)
			return t
		}
		x.drop(l)
	}
	return nil
}

// drop forgets a lane that nobody uses.
func (x *connector) drop(l *lane) {
	if l.under == 0 && l.waiting.Len() == 0 && !l.listed {
		delete(x.lanes, l.to)
	}
}

// list has a lane take part in the turns, if it can.
func (x *connector) list(l *lane) {
	if !l.listed && l.waiting.Len() > 0 && l.under < x.limits.perAddress {
		l.listed = true
		x.turns.Put(l)
	}
}

// withdraw takes back a ticket with a goroutine, and reports false if it is its turn
// already.
func (x *connector) withdraw(t *ticket) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-t.given:
		return false
	default:
	}
	t.gone = true
	return true
}
