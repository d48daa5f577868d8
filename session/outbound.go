package session

import (
	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/transport"
)

// outbound is a session's queue for output, and what goes with it. A session has
// one only while something is queued, or somebody waits.
type outbound struct {
	*buffer.Chain
	consumed int64            // bytes that have left it, in all its lives
	charged  int              // bytes that Shared.Queued counts for it
	writable bool             // Writable came while the write side was held
	pinned   bool             // it may hold parts of loops' segments
	notes    fifo.Queue[note] // of sends that want to be told, in order
	waiters  []*waiter        // of SendContext, in order
	ends     ends             // of the messages, where an attendant wants to know

	head, tail [aroundBytes]byte // what goes around the message that is being queued
}

// aroundBytes is room for what a codec puts before or behind a message.
const aroundBytes = 16

// note is a completion that is called when everything up to a point of the output
// has been taken by the kernel.
type note struct {
	at   int64 // as outbound.consumed counts
	done func(error)
}

// completion is a function to be told how its send ended.
type completion struct {
	done func(error)
	err  error
}

// waiter is somebody who waits for room in a queue.
type waiter struct {
	free chan struct{} // has a value when it may try again
}

// tell lets it try again.
func (w *waiter) tell() {
	select {
	case w.free <- struct{}{}:
	default: // it has been told
	}
}

func takeOutbound(shared *transport.Shared) *outbound {
	if out, ok := shared.Outbounds.Get().(*outbound); ok {
		return out
	}
	return &outbound{Chain: buffer.NewChain(shared.Pool)}
}

// putFirst queues view, which lies in segment, before everything else. If it is small
// beside the segment it is copied.
func (o *outbound) putFirst(segment *buffer.Segment, view []byte) {
	if len(view)*4 < segment.Cap() {
		o.Prepend(view)
	} else {
		o.PrependView(segment, view)
	}
	o.consumed -= int64(len(view)) // what is behind leaves as much later
}

// charge brings what the engine counts for the queue up to date.
func (o *outbound) charge(shared *transport.Shared, queued int) {
	if queued != o.charged {
		shared.Queued.Add(int64(queued - o.charged))
		o.charged = queued
	}
}

// idle tells whether nothing is left that would keep an empty queue.
func (o *outbound) idle() bool { return o.notes.Len() == 0 && len(o.waiters) == 0 }

// admitNext lets the first who waits try again.
func (o *outbound) admitNext() {
	if len(o.waiters) > 0 {
		o.waiters[0].tell()
	}
}

// dismiss lets all who wait find out that the session has ended.
func (o *outbound) dismiss() {
	for _, w := range o.waiters {
		w.tell()
	}
}

// notify has the completions called of what has left. The caller holds the lock.
func (s *Session) notify() {
	for notes := &s.out.notes; notes.Len() > 0 && notes.Front().at <= s.out.consumed; {
		s.work().done.Put(completion{notes.Take().done, nil})
	}
}

// notifyAll has the others called, with err: the session ends.
func (s *Session) notifyAll(err error) {
	for notes := &s.out.notes; notes.Len() > 0; {
		s.work().done.Put(completion{notes.Take().done, err})
	}
}
