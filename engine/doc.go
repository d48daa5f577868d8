// Package engine runs sessions on event loops.
//
// An Engine owns loops. A loop is one goroutine with one poller; it accepts,
// reads, hands over to workers, who run the handlers, writes what these left and
// closes, in numbered steps: see loop.go. A session stays on its loop for life, and its
// handlers are called in order, one call at a time. In modes Inline and Single the
// loop runs them itself.
//
// An echo server:
//
//	echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { s.Send(f.Bytes()) })
//	err := engine.ListenAndServe(ctx, "tcp", "127.0.0.1:7000", echo)
//
// Every Engine ends with Close, Shutdown, Stop or the context of Serve. Afterwards
// no goroutine, descriptor or buffer of it is left, but what other goroutines still
// hold: a handler that never returns, a retained Frame until its Release, a descriptor until the Send that is
// using it returns.
package engine
