package rpc

import (
	"errors"
	"time"

	"github.com/weirnet/weir/session"
)

// Roaming are the calls whose requests were given to Senders that had no session then.
// They leave with the next one, which is the call's from then on. Their ids differ from
// those of lines in the lowest bit.
type roaming struct {
	table table
	timer *time.Timer // guarded by the table's lock
}

// roamingMost is how many there may be, of all Senders together.
const roamingMost = 64 << 10

// Tags of ids.
const (
	tagLine    = 0
	tagRoaming = 1
)

func (r *roaming) init(p *Peer) {
	r.table.init(roamingMost, tagRoaming, func(at time.Duration) {
		r.timer = p.alarm(r.timer, at, func() {
			p.expire(&r.table, func(c *call) route { return p.roam(c.home) })
		})
	})
}

// alarm has f called at a time, on a goroutine of its own; 0: not at all. Timer is what it
// returned before, or nil.
func (p *Peer) alarm(timer *time.Timer, at time.Duration, f func()) *time.Timer {
	switch {
	case at == 0 && timer != nil:
		timer.Stop()
	case at == 0:
	case timer == nil:
		timer = time.AfterFunc(at-p.now(), f)
	default:
		timer.Reset(at - p.now())
	}
	return timer
}

// sendRoaming gives a request to a Sender.
func (p *Peer) sendRoaming(home Connected, id uint64, request []byte) error {
	return home.SendNotify(request, func(err error) { p.told(id, err) })
}

// told is what a Sender tells of a request: it has left, or it never will.
func (p *Peer) told(id uint64, err error) {
	t := &p.roaming.table
	if err != nil {
		if c := t.take(id); c != nil {
			outcome := ErrUnsent
			if e := (*session.CloseError)(nil); errors.As(err, &e) && e.InWrite > 0 {
				outcome = ErrInDoubt
			}
			p.end(c, nil, c.failed(outcome, err))
		}
		return
	}
	var bound *session.Session
	c := t.takeIf(id, func(c *call) bool {
		bound = c.home.Session()
		c.sent, c.bound = true, bound
		return bound == nil
	})
	if l, ok := p.lines.Load(bound); ok {
		l.(*line).keepReading()
	}
	if c != nil {
		p.end(c, nil, c.failed(ErrInDoubt, session.ErrClosed)) // it has left, and its session ended
	}
}

// closeRoaming ends the calls that have left over a session that has ended.
func (p *Peer) closeRoaming(s *session.Session, reason error) {
	left := p.roaming.table.takeAll(func(c *call) bool { return c.bound == s })
	each(left, func(c *call) { p.end(c, nil, c.failed(ErrInDoubt, reason)) })
}
