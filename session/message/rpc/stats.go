package rpc

import (
	"errors"
	"sync/atomic"

	"github.com/weirnet/weir/session"
)

// Stats are a peer's counters at one moment.
type Stats struct {
	// Calls and pings that have ended, by how.
	Answered uint64 // with a message, or a pong
	Failed   uint64 // with a RemoteError
	Unsent   uint64
	InDoubt  uint64

	Late    uint64 // answers that nobody waited for any more
	Ignored uint64 // messages that were no part of a call, and had nobody to go to

	Requests  uint64 // that came
	Refused   uint64 // of these: no handler, no room, or not readable
	Cancelled uint64 // of these: the peer did not wait for the answer
	Serving   int    // of these: not answered yet

	Panics uint64 // of handlers and completions
}

type counts struct {
	answered, failed, unsent, inDoubt, late, ignored atomic.Uint64
	requests, refused, cancels, panics               atomic.Uint64
}

// ended counts a call.
func (c *counts) ended(err error) {
	switch {
	case err == nil:
		c.answered.Add(1)
	case errors.Is(err, ErrInDoubt):
		c.inDoubt.Add(1)
	case errors.Is(err, ErrUnsent):
		c.unsent.Add(1)
	default:
		c.failed.Add(1)
	}
}

// Stats returns the peer's counters.
func (p *Peer) Stats() Stats {
	c := &p.counts
	return Stats{
		Answered: c.answered.Load(), Failed: c.failed.Load(), Unsent: c.unsent.Load(), InDoubt: c.inDoubt.Load(),
		Late: c.late.Load(), Ignored: c.ignored.Load(),
		Requests: c.requests.Load(), Refused: c.refused.Load(), Cancelled: c.cancels.Load(), Serving: int(p.serving.Load()),
		Panics: c.panics.Load(),
	}
}

// InFlight returns how many calls over a session wait for their answers.
func (p *Peer) InFlight(s *session.Session) int {
	l, ok := p.lines.Load(s)
	if !ok {
		return 0
	}
	return l.(*line).table.len()
}
