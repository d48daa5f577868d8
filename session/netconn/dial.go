package netconn

import (
	"context"
	"net"

	"github.com/weirnet/weir/session"
)

// Dialer is an *engine.Engine.
type Dialer interface {
	Dial(ctx context.Context, network, address string, h session.Handler) (*session.Session, error)
}

// Dial is the engine's Dial, for a *Conn. It fits http.Transport's DialContext, once e is
// bound. The errors are the engine's; context.Cause of ctx, in a *net.OpError, if that ends
// while the engine has no worker to open the session. It waits, and so must not be called
// from a handler.
func Dial(ctx context.Context, e Dialer, network, address string) (*Conn, error) {
	h := caller{make(chan *Conn, 1)}
	s, err := e.Dial(ctx, network, address, h)
	if err != nil {
		return nil, err
	}
	select {
	case c := <-h.opened: // before anything that the peer sends could be handled
		return c, nil
	case <-ctx.Done():
		_ = s.Abort() // ErrClosed: it has ended, which is what is wanted
		return nil, &net.OpError{Op: "dial", Net: network, Addr: s.RemoteAddr(), Err: context.Cause(ctx)}
	}
}

// caller is the handler of a session before it is a Conn.
type caller struct{ opened chan *Conn }

func (h caller) OnOpen(s *session.Session)                 { h.opened <- New(s) }
func (h caller) OnMessage(*session.Session, session.Frame) {}
