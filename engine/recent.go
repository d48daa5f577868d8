package engine

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weirnet/weir/session"
)

// Closing tells how a session ended, and what it did before.
type Closing struct {
	ID     uint64
	Remote net.Addr // as Session.RemoteAddr
	Opened time.Time
	Closed time.Time

	Reason session.Reason
	Cause  string // what CloseError.Err says, up to 256 bytes; empty if there is none

	BytesIn     uint64 // received and given to the handler
	BytesOut    uint64 // taken by the kernel
	MessagesIn  uint64
	MessagesOut uint64 // accepted by Send
	Unsent      int    // bytes queued when it ended
	Unhandled   int    // bytes received and not given to the handler
}

// WithRecentlyClosed sets how many closings Engine.RecentlyClosed remembers, at about
// 160 bytes each; 0 switches it off. The default is 256.
func WithRecentlyClosed(n int) Option {
	return func(o *options) {
		if n < 0 || n > recentMax {
			o.reject("recently closed", n, fmt.Sprintf("must be from 0 (off) to %d", recentMax))
		}
		o.recent = n
	}
}

const (
	recentDefault = 256
	recentMax     = 1 << 20 // it is allocated when the engine starts
	causeMax      = 256     // bytes of a cause
)

// RecentlyClosed returns the sessions that closed last, the last one first, of those
// whose OnClose was due. One may be missing until shortly after its OnClose. Any
// goroutine may call it, also after the engine's end; what it returns is the caller's.
func (e *Engine) RecentlyClosed() []Closing { return e.recent.list() }

// recent is a ring of closings. All loops write to it.
type recent struct {
	mu    sync.Mutex
	ring  []closing
	total uint64 // closings ever
}

// closing is what is kept of a Closing: nothing that must be made at close, but the
// text of a cause.
type closing struct {
	remote netip.AddrPort
	opened time.Time
	closed time.Time
	reason session.Reason
	cause  string
	id     uint64

	bytesIn, bytesOut, messagesIn, messagesOut uint64
	unsent, unhandled                          int
}

// add remembers the end of a session, over the oldest one.
func (r *recent) add(c closing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.total%uint64(len(r.ring))] = c
	r.total++
}

// remember adds a session that is being closed.
func (l *loop) remember(remote netip.AddrPort, id uint64, did session.Stats, why *session.CloseError) {
	r := &l.engine.recent
	if len(r.ring) == 0 {
		return
	}
	r.add(closing{
		id: id, remote: remote, opened: did.Opened, closed: l.now,
		reason: why.Reason, cause: causeText(why.Err),
		bytesIn: did.BytesIn, bytesOut: did.BytesOut, messagesIn: did.MessagesIn, messagesOut: did.MessagesOut,
		unsent: why.Unsent, unhandled: why.Unhandled,
	})
}

func (r *recent) list() []Closing {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(r.total, uint64(len(r.ring)))
	all := make([]Closing, 0, n)
	for i := range n {
		all = append(all, r.ring[(r.total-1-i)%uint64(len(r.ring))].public())
	}
	return all
}

func (c *closing) public() Closing {
	return Closing{
		ID: c.id, Remote: addressOf(c.remote), Opened: c.opened, Closed: c.closed,
		Reason: c.reason, Cause: c.cause,
		BytesIn: c.bytesIn, BytesOut: c.bytesOut, MessagesIn: c.messagesIn, MessagesOut: c.messagesOut,
		Unsent: c.unsent, Unhandled: c.unhandled,
	}
}

// addressOf is what Session.RemoteAddr makes of a peer's address.
func addressOf(remote netip.AddrPort) net.Addr {
	if !remote.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(remote)
}

// causeText is what err says, cut short. It may be a user's, and is asked now because
// later it may be another's: to keep it would keep whatever it refers to.
func causeText(err error) string {
	switch known := err.(type) {
	case nil, session.Reason: // the reason says it
		return ""
	case syscall.Errno:
		return known.Error()
	}
	text := fmt.Sprint(err) // which recovers a panic of its Error
	if len(text) > causeMax {
		text = strings.Clone(text[:causeMax])
	}
	return strings.ToValidUTF8(text, "\ufffd")
}
