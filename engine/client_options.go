package engine

import (
	"fmt"
	"math"
	"time"

	"github.com/weirnet/weir/session"
)

// ClientOption changes one default of a client. A bad value makes NewClient return an
// *OptionError.
type ClientOption func(*clientOptions)

type clientOptions struct {
	backoff backoff
	queue   int
	timeout time.Duration // of an attempt; 0: the engine's

	onConnect    func(*Client, *session.Session)
	onDisconnect func(*Client, error)
	onReconnect  func(*Client, int)

	err error // the first bad value
}

func defaultClientOptions() clientOptions {
	return clientOptions{backoff: backoff{50 * time.Millisecond, time.Second}, queue: 1 << 20}
}

// reject records a bad value; the first one is reported.
func (o *clientOptions) reject(option string, value any, why string) {
	if o.err == nil {
		o.err = &OptionError{Option: option, Value: value, Why: why}
	}
}

// WithBackoff bounds how long a client waits before it tries again, with
// 1 ms <= shortest <= longest. The n-th attempt in a row comes after a time that is drawn
// anew, anything from shortest to shortest·2ⁿ being as likely, but at most longest: so
// clients that have lost their server at the same moment do not come back at the same
// moment. They begin anew once a session has lived for the longest back-off. The defaults
// are 50 ms and 1 s: in the long run a client makes two attempts a second.
func WithBackoff(shortest, longest time.Duration) ClientOption {
	return func(o *clientOptions) {
		if shortest < time.Millisecond || longest < shortest {
			o.reject("back-off", [2]time.Duration{shortest, longest}, "must be 1ms <= shortest <= longest")
		}
		o.backoff = backoff{shortest, longest}
	}
}

// WithReconnectQueue bounds what waits in a client while there is no session, in bytes;
// a message counts for 64 more than it has. What does not fit is refused with
// session.ErrBufferFull. With 0 nothing waits, and Send fails at once with
// session.ErrNotConnected. The default is 1 MiB. WithOutboundTotal counts what waits, too.
func WithReconnectQueue(bytes int) ClientOption {
	return func(o *clientOptions) {
		if bytes < 0 || bytes > math.MaxInt32 {
			o.reject("reconnect queue", bytes, fmt.Sprintf("must be from 0 to %d", math.MaxInt32))
		}
		o.queue = bytes
	}
}

// WithAttemptTimeout bounds how long one attempt may take, from when it is its turn. The
// engine's WithDialTimeout counts, too. The default is 0: that alone.
func WithAttemptTimeout(d time.Duration) ClientOption {
	return func(o *clientOptions) {
		if d != 0 && d < time.Millisecond {
			o.reject("attempt timeout", d, "must be 0 (off) or at least 1ms")
		}
		o.timeout = d
	}
}

// OnConnect has f called with each session, after the handler's OnOpen. What f sends
// with Session.Send goes out first: a greeting has its place there. What waits in the
// client goes out when f has returned, and what f sends with Client.Send behind that. If
// f panics, the session ends.
func OnConnect(f func(*Client, *session.Session)) ClientOption {
	return func(o *clientOptions) { o.onConnect = f }
}

// OnDisconnect has f called when a session has ended, after the handler's OnClose, with a
// *DisconnectError. The client goes on when f has returned.
func OnDisconnect(f func(*Client, error)) ClientOption {
	return func(o *clientOptions) { o.onDisconnect = f }
}

// OnReconnect has f called before each attempt that the client makes by itself, but the
// first after Start. Attempts are counted from 1 on, until a session has lived for the
// longest back-off. The attempt is made when f has returned. f has a goroutine of its
// own, on which it may block.
func OnReconnect(f func(c *Client, attempt int)) ClientOption {
	return func(o *clientOptions) { o.onReconnect = f }
}

// WithDialLimit bounds how many attempts the clients of the engine have under way at
// once: in all, and to the same address, so that one that does not answer does not hold
// up the others. Whoever has to wait does so in order, addresses taking turns. The
// defaults are 256 and 64. Engine.Dial is not counted.
func WithDialLimit(total, perAddress int) Option {
	return func(o *options) {
		if perAddress < 1 || total < perAddress {
			o.reject("dial limit", [2]int{total, perAddress}, "must be 1 <= per address <= total")
		}
		o.connects = connectLimits{total, perAddress}
	}
}

// backoff is how long to wait before trying again: from shortest to longest.
type backoff struct{ shortest, longest time.Duration }

// before draws how long to wait before the n-th attempt in a row, from 1 on. The lower
// bound is not 0, as it often is: nobody is to try again at once.
func (b backoff) before(n int, random func(int64) int64) time.Duration {
	most := b.longest
	if n < 62 && b.shortest <= b.longest>>n {
		most = b.shortest << n
	}
	return b.shortest + time.Duration(random(int64(most-b.shortest)+1))
}
