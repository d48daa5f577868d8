package session

import (
	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/transport"
)

// outbound is a session's queue for output, and what goes with it. A session has
// one only while something is queued, or somebody waits.
type outbound struct {
	*buffer.Chain
	charged  int     // bytes that Shared.Queued counts for it
	writable bool    // Writable came while the write side was held
	pinned   bool    // it may hold parts of loops' segments
	notes    []note  // of sends that want to be told, in order
	waiters  []*room // of SendContext, in order
}

// note is a completion that is called when everything up to a point of the output
// has been taken by the kernel.
type note struct {
	at   uint64 // bytes out since the session opened
	done func(error)
}

// completion is a function to be told how its send ended.
type completion struct {
	done func(error)
	err  error
}

// room is somebody who waits for room in a queue.
type room struct {
	free chan struct{} // has a value when it may try again
}

func takeOutbound(shared *transport.Shared) *outbound {
	if out, ok := shared.Outbounds.Get().(*outbound); ok {
		return out
	}
	return &outbound{Chain: buffer.NewChain(shared.Pool)}
}

// charge brings what the engine counts for the queue up to date.
func (o *outbound) charge(shared *transport.Shared, queued int) {
	if queued != o.charged {
		shared.Queued.Add(int64(queued - o.charged))
		o.charged = queued
	}
}

// idle tells whether nothing is left that would keep an empty queue.
func (o *outbound) idle() bool { return len(o.notes) == 0 && len(o.waiters) == 0 }

// admitNext lets the first who waits try again.
func (o *outbound) admitNext() {
	if len(o.waiters) > 0 {
		select {
		case o.waiters[0].free <- struct{}{}:
		default: // it has been told
		}
	}
}

// dismiss lets all who wait find out that the session has ended.
func (o *outbound) dismiss() {
	for _, r := range o.waiters {
		select {
		case r.free <- struct{}{}:
		default:
		}
	}
}

// notify has the completions called of what has left. The caller holds the lock.
func (s *Session) notify(o *outbound) {
	n := 0
	for n < len(o.notes) && o.notes[n].at <= s.bytesOut {
		n++
	}
	s.report(o, n, nil)
}

// report has the first n completions called with err.
func (s *Session) report(o *outbound, n int, err error) {
	if n == 0 {
		return
	}
	in := s.work()
	for _, note := range o.notes[:n] {
		in.done = append(in.done, completion{note.done, err})
	}
	rest := copy(o.notes, o.notes[n:])
	clear(o.notes[rest:])
	o.notes = o.notes[:rest]
}
