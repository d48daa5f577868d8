package rpc

import (
	"time"

	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/message"
)

// Option changes one default of a Peer. A bad value makes New return an *OptionError.
type Option func(*options)

type options struct {
	inFlight     int
	serving      int
	servingTotal int
	timeout      time.Duration
	format       message.Format
	events       func(*session.Session, *message.Message)

	err error // the first bad value
}

// limitMost is the most that can be asked for, so that ids have room for it.
const limitMost = 1 << 20

func collect(opts []Option) (options, error) {
	o := options{
		inFlight:     4096,
		serving:      1024,
		servingTotal: 64 << 10,
		timeout:      30 * time.Second,
		format:       message.Binary{},
	}
	for _, set := range opts {
		set(&o)
	}
	return o, o.err
}

func (o *options) reject(option string, value any, why string) {
	if o.err == nil {
		o.err = &OptionError{Option: option, Value: value, Why: why}
	}
}

func (o *options) limit(option string, to *int, n int) {
	if n < 1 || n > limitMost {
		o.reject(option, n, "must be from 1 to 1048576")
	}
	*to = n
}

// WithInFlight bounds how many calls may wait for their answers, over each session; one
// more gets a *LimitError. The default is 4096.
func WithInFlight(calls int) Option {
	return func(o *options) { o.limit("in flight", &o.inFlight, calls) }
}

// WithServing bounds how many requests that came over one session may be answered later,
// those of HandleApart among them; one more is answered with CodeBusy. The default is
// 1024.
func WithServing(requests int) Option {
	return func(o *options) { o.limit("serving", &o.serving, requests) }
}

// WithServingTotal is WithServing for all sessions together. The default is 65536.
func WithServingTotal(requests int) Option {
	return func(o *options) { o.limit("serving total", &o.servingTotal, requests) }
}

// WithTimeout bounds how long a call waits whose context has no deadline, from 1 ms on; 0
// has it wait for as long as the connection lasts. The default is 30 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) {
		if d != 0 && d < time.Millisecond {
			o.reject("timeout", d, "must be 0 (off) or at least 1ms")
		}
		o.timeout = d
	}
}

// WithFormat has messages sent and read in another format than message.Binary.
func WithFormat(f message.Format) Option {
	return func(o *options) {
		if f == nil {
			o.reject("format", f, "must not be nil")
		}
		o.format = f
	}
}

// WithEvents has f called with what comes over a session that is no part of a call: events,
// and errors without a correlation id. It runs where the session's handlers do. Otherwise
// they are counted.
func WithEvents(f func(s *session.Session, m *message.Message)) Option {
	return func(o *options) {
		if f == nil {
			o.reject("events", "nil", "must not be nil")
		}
		o.events = f
	}
}
