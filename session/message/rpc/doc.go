// Package rpc asks and answers over sessions: requests get replies, over any number of
// connections and in both directions of each.
//
//	shop, err := rpc.New()
//	shop.Handle("order", func(r *rpc.Request) (*message.Message, error) { ... })
//	e.Listen("tcp", ":7000", session.Framed(shop, frame.Default()))
//
//	customer, err := rpc.New()
//	s, err := e.Dial(ctx, "tcp", "shop:7000", session.Framed(customer, frame.Default()))
//	answer, err := customer.Call(ctx, s, message.New("order"))
//
// Every call ends once: with a message; with a *RemoteError, which is what the other end
// answered; or without an answer, with a *CallError. That is ErrUnsent if the other end
// cannot have got the request, and ErrInDoubt if it may have. A call that was cancelled, or
// whose time was over, after it had been sent is in doubt, too.
//
// What is bounded: the calls that wait over each session (WithInFlight); the requests that
// are being answered for each session, and in all (WithServing, WithServingTotal); how
// long a call waits (its context, else WithTimeout); what is queued to be sent (the
// session's own limits). A Peer has no goroutines of its own; what expires has one for the
// moment.
//
// A Peer is the session.Pinger of its sessions: if the engine has a heartbeat, silence is
// broken by pings, and a peer that does not answer is noticed. The session's Stats tell how
// long the last one took.
//
// The package knows sessions, and no engine.
package rpc
