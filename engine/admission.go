package engine

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/internal/rate"
)

// An admission decides which connections an engine takes, and how fast:
//
//  1. pace: how often acceptors may accept; the clients wait in the kernel's queue
//  2. enter: whether there may be one session more, in all and of the peer's address;
//     if not, the connection is reset
//  3. leave: the session is closed, and another may have its place
//
// All acceptors of the engine share it, on whatever loops. Limits that are off cost
// a comparison. What it remembers is bounded by the number of sessions.
type admission struct {
	limits entryLimits

	used   rate.Shared  // of limits.rate
	inside atomic.Int64 // sessions, while limits.sessions is on

	mu   sync.Mutex
	from map[network]int // sessions by address, while limits.perAddress is on; no zeros
}

// entryLimits are options; zero is no limit.
type entryLimits struct {
	sessions   int
	perAddress int
	rate       rate.Limit
}

// network is an IPv4 address, or the first 64 bits of an IPv6 address: whoever has
// one of those has them all.
type network [16]byte

func networkOf(peer netip.Addr) network {
	peer = peer.Unmap()
	if peer.Is6() {
		prefix, _ := peer.Prefix(64) // an IPv6 address has one
		peer = prefix.Addr()
	}
	return peer.As16()
}

// WithMaxSessions bounds how many sessions the engine has at once, those that drain
// included; a connection above that is accepted and reset, and counted in
// Stats.RefusedFull. Sessions of Dial and AdoptConn do not count. 0 switches it off. The default is off: there are places for 16
// million.
func WithMaxSessions(n int) Option {
	return func(o *options) {
		if n < 0 {
			o.reject("max sessions", n, "must be 0 (off) or at least 1")
		}
		o.entry.sessions = n
	}
}

// WithMaxPerAddress does the same for the sessions of one peer address, counted in
// Stats.RefusedCrowded. An IPv6 address counts together with all others that have its
// first 64 bits. Sessions of Dial and AdoptConn do not count. Unix sockets have no address, and no such limit. The default is off.
func WithMaxPerAddress(n int) Option {
	return func(o *options) {
		if n < 0 {
			o.reject("max per address", n, "must be 0 (off) or at least 1")
		}
		o.entry.perAddress = n
	}
}

// WithAcceptRate bounds how many connections are accepted per second, in the long
// run, and at once after a rest, both up to a billion. Nobody is refused: those who
// come faster wait in the listener's queue, whose length is the system's somaxconn.
// Stats.AcceptWaits counts how often accepting stopped for that. As a loop wakes up
// about once a millisecond, a burst of less than perSecond/1000 lets fewer in.
// With perSecond 0, the default, it is off.
func WithAcceptRate(perSecond, burst int) Option {
	return func(o *options) { o.rate("accept rate", &o.entry.rate, perSecond, burst) }
}

// rate stores a limit; perSecond 0 switches it off.
func (o *options) rate(option string, to *rate.Limit, perSecond, burst int) {
	*to = rate.Limit{}
	switch {
	case perSecond == 0:
	case perSecond < 0 || perSecond > rate.Most:
		o.reject(option, perSecond, fmt.Sprintf("must be 0 (off) or from 1 to %d", rate.Most))
	case burst < 1 || burst > rate.Most:
		o.reject(option, burst, fmt.Sprintf("must have a burst from 1 to %d", rate.Most))
	default:
		*to = rate.New(perSecond, burst)
	}
}

// pace tells an acceptor whether it may take one more connection, or else from when
// on. One that was not there must be unused.
func (a *admission) pace(now time.Duration) (again time.Duration, ok bool) {
	if a.limits.rate.Off() {
		return 0, true
	}
	return a.used.Take(a.limits.rate, now)
}

// unused takes back what pace allowed.
func (a *admission) unused() {
	if !a.limits.rate.Off() {
		a.used.Return(a.limits.rate)
	}
}

// enter counts a connection in, whose peer is the zero Addr on unix sockets. If it
// returns an error, a *fullError or a *crowdError, it did not; otherwise leave must be
// called once.
func (a *admission) enter(peer netip.Addr) error {
	if !a.reserve() {
		return &fullError{a.limits.sessions}
	}
	if !a.reserveFor(peer) {
		a.release()
		return &crowdError{peer, a.limits.perAddress}
	}
	return nil
}

// leave counts it out.
func (a *admission) leave(peer netip.Addr) {
	a.release()
	if a.limits.perAddress == 0 || !peer.IsValid() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := networkOf(peer)
	if a.from[key]--; a.from[key] == 0 {
		delete(a.from, key)
	}
}

// reserve takes one of the places in all, if there is one. Nobody is ever counted
// above the limit, not even for a moment: another acceptor would find no place then.
func (a *admission) reserve() bool {
	if a.limits.sessions == 0 {
		return true
	}
	for {
		n := a.inside.Load()
		if n >= int64(a.limits.sessions) {
			return false
		}
		if a.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (a *admission) release() {
	if a.limits.sessions != 0 {
		a.inside.Add(-1)
	}
}

// reserveFor takes one of the places of an address.
func (a *admission) reserveFor(peer netip.Addr) bool {
	if a.limits.perAddress == 0 || !peer.IsValid() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := networkOf(peer)
	if a.from[key] >= a.limits.perAddress {
		return false
	}
	if a.from == nil {
		a.from = make(map[network]int)
	}
	a.from[key]++
	return true
}

// fullError and crowdError are why a connection was refused, for the log.
type fullError struct{ most int }

func (e *fullError) Error() string {
	return fmt.Sprintf("there are %d sessions, the most allowed", e.most)
}

type crowdError struct {
	peer netip.Addr
	most int
}

func (e *crowdError) Error() string {
	return fmt.Sprintf("there are %d sessions of %v, the most allowed", e.most, e.peer)
}
