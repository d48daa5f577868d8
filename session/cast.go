package session

import (
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session/frame"
)

// A Cast is one message to sessions that need not be in a group, copied once and
// framed once for each codec. The engine makes it, gives it to sessions on their loops,
// and counts who still has to.
type Cast struct {
	shared *transport.Shared
	bytes  []byte
	loops  atomic.Int32

	mu    sync.Mutex
	forms []form
}

// form is the message as those read it who have one codec.
type form struct {
	codec frame.Codec
	page  *page // nil if it cannot be framed
}

// NewCast returns a message of a copy of p for so many loops, each of which is to call
// Done. It returns ErrBufferFull if too much is under way, a *frame.Error if p is too large.
func NewCast(shared *transport.Shared, p []byte, loops int, _ transport.Key) (*Cast, error) {
	if len(p) > noticeMax {
		return nil, tooLarge(len(p))
	}
	cost := castCost(p)
	if under := shared.Casting.Add(cost); under > cost && under > int64(shared.Cap) {
		shared.Casting.Add(-cost)
		return nil, ErrBufferFull
	}
	c := &Cast{shared: shared, bytes: append([]byte(nil), p...)}
	c.loops.Store(int32(loops))
	return c, nil
}

// perCast is about what a message under way takes besides its bytes.
const perCast = 256

func castCost(p []byte) int64 { return int64(len(p)) + perCast }

// Done tells that a loop has given the message to all its sessions.
func (c *Cast) Done() {
	if c.loops.Add(-1) > 0 {
		return
	}
	for _, f := range c.forms {
		if f.page != nil {
			f.page.release()
		}
	}
	c.shared.Casting.Add(-castCost(c.bytes))
}

// form returns the message for the codec of session id, nil if it cannot be framed.
func (c *Cast) form(codec frame.Codec, id uint64) *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.forms {
		if f.codec == codec {
			return f.page
		}
	}
	p := c.frame(codec, id)
	c.forms = append(c.forms, form{codec, p})
	return p
}

func (c *Cast) frame(codec frame.Codec, id uint64) (p *page) {
	var head, tail []byte
	if codec != nil {
		defer func() {
			if value := crash(recover(), c.shared); value != nil {
				c.shared.Panicked(id, value, debug.Stack())
				p = nil
			}
		}()
		var err error
		if head, err = codec.Head(nil, c.bytes); err != nil {
			return nil
		}
		tail = codec.Tail(nil)
	}
	p = newPage(c.shared, len(head)+len(c.bytes)+len(tail), 1)
	p.write(head)
	p.write(c.bytes)
	p.write(tail)
	p.end(label{})
	return p
}

// Cast gives c to the session: to the kernel, or to its queue if that has room. It
// reports false if the session does not get it.
func (d Driver) Cast(c *Cast) bool {
	p := c.form(d.s.codec(), d.s.id)
	if p == nil {
		return false
	}
	r := run{page: p, last: 1}
	runs, views := [...]run{r}, [...][]byte{r.bytes()}
	t := batch{runs: runs[:], views: views[:], bytes: r.size(), messages: 1}
	gone, open := d.s.give(&t, nil)
	return gone > 0 || open && d.s.queueCast(r)
}

// queueCast queues a message by reference.
func (s *Session) queueCast(r run) bool {
	s.mu.Lock()
	defer s.unlock()
	if s.admit(r.size()) != nil {
		return false
	}
	s.queue().AppendView(r.page.segment, r.bytes())
	s.messagesOut++
	s.push()
	return true
}
