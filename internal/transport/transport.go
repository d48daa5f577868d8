// Package transport is what lies between a Session, which the user holds, and
// the engine's conn, which holds the descriptor. The types are internal, so
// that neither side of the door becomes public API: nobody outside this module
// can make a Link or name a Key.
package transport

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/sock"
)

// Key opens the engine's side of a Session; see session.Drive.
type Key struct{ _ byte }

// Link is the descriptor's side of a Session. Any goroutine may call it, but
// only while it holds a count: the descriptor stays open until the last count
// is released, whoever releases it.
type Link interface {
	// Acquire adds a count. The caller holds the session's lock and has seen
	// that the session still has its link, so it cannot fail.
	Acquire()

	// Release drops a count; the last one closes the descriptor.
	Release()

	// Attend asks the loop to look at the session's Status soon.
	Attend()

	// OnLoop tells whether the caller runs on a loop of the engine, and so must not
	// wait for one. It takes about two microseconds.
	OnLoop() bool

	// Send and Sendv write without blocking; see sock.System.
	Send(p []byte) (n int, errno syscall.Errno)
	Sendv(views [][]byte) (n int, errno syscall.Errno)

	// ShutdownWrite sends FIN.
	ShutdownWrite() syscall.Errno

	// Descriptor is the number behind the link.
	Descriptor() int

	// SetOption and Option set and read a socket option.
	SetOption(o sock.Option, value int) error
	Option(o sock.Option) (int, error)

	// LocalAddr is the address of our end.
	LocalAddr() net.Addr

	// Shared is what all sessions of the engine have in common.
	Shared() *Shared
}

// Status is what a loop must know of a Session, as a set of bits. It is a
// level, not an event: a loop that reads it twice does the right thing twice.
type Status uint16

// The bits of a Status.
const (
	Paused    Status = 1 << iota // do not read: the user asked, or output is above high water
	Blocked                      // output is queued and the kernel takes no more: tell when Writable
	Pending                      // output is queued and nobody writes it: call Writable
	Draining                     // no more messages are wanted; close when also Drained
	Drained                      // all output is in the kernel, FIN included
	Aborted                      // close now, and drop what is queued
	Failed                       // a write failed: read what is left, then close
	Exposed                      // the descriptor was shown to the user; a duplicate may exist
	Full                         // do not read: the strand has enough to do
	Throttled                    // do not read before ThrottledUntil, then call Unthrottle
	Due                          // the strand has something to do: whoever is told so by a Driver has it run
	Beats                        // when nothing comes, call Ping, and in the end Silent
)

// Shared is what the sessions of one engine have in common. The engine fills it
// before the first session; afterwards only the atomic fields change.
type Shared struct {
	Pool *buffer.Pool

	// Water marks and limits of a session's output, in bytes.
	LowWater  int
	HighWater int
	Cap       int

	// QueuedCap bounds the output queued in all sessions together; Queued is
	// how much that is now.
	QueuedCap int64
	Queued    atomic.Int64

	// Unread is how much strands hold above UnreadLimit each; QueuedCap bounds it,
	// too, apart from Queued.
	Unread atomic.Int64

	// Casting is how much of messages to sessions without a group is under way.
	Casting atomic.Int64

	// HalfOpen leaves a session open for writing when its peer sends FIN.
	HalfOpen bool

	// Crash lets a handler's panic end the process.
	Crash bool

	// Pooled has strands run by somebody else than the loop, who calls Driver.Run.
	Pooled bool

	// UnreadLimit is how many bytes a strand may hold, and TaskLimit how many tasks,
	// before no more are taken.
	UnreadLimit int
	TaskLimit   int

	// Loops is how many loops there are, and LoopOf which one a session's id names.
	Loops  int
	LoopOf func(id uint64) int

	// Leave has a loop run x soon; see Errand. OnLoop tells whether the caller runs on a
	// loop, as Link's does. Any goroutine.
	Leave  func(loop int, x *Errand)
	OnLoop func() bool

	// Wait takes the place of what Await does; nil where nobody replaces it.
	Wait func(ctx context.Context, free <-chan struct{}, retry time.Duration) error

	// Cork gathers what handlers leave for loops.
	Cork Cork

	// Intake limits what each peer may send; nil if nothing does.
	Intake *Intake

	// Panicked is told of a recovered panic, on the goroutine that panicked.
	Panicked func(id uint64, value any, stack []byte)

	// Strands and Outbounds keep what sessions have only while they need it. The
	// types are package session's.
	Strands   sync.Pool
	Outbounds sync.Pool
	Pages     sync.Pool

	views sync.Pool // of *[][]byte, for Sendv
}

// thinQueue is how much output a session may have queued to be one of those that the
// reserve is for, in bytes: some answers.
const thinQueue = 4 << 10

// QueuedShare is how much may be queued in all sessions together when one of them has so
// much queued. The last quarter is for those that have little: without it a few peers
// that do not read would have the answers to all others refused.
func (s *Shared) QueuedShare(queued int) int64 {
	if queued <= thinQueue {
		return s.QueuedCap
	}
	return s.QueuedCap - s.QueuedCap/4
}

// Room is how many of n bytes a session with so much queued may queue besides, as far as
// all sessions together go; 0 if none.
func (s *Shared) Room(queued, n int) int {
	total := s.Queued.Load()
	if room := s.QueuedShare(queued+n) - total; room > 0 {
		return int(min(int64(n), room))
	}
	thin := min(n, thinQueue-queued) // of the reserve
	return int(max(min(int64(thin), s.QueuedCap-total), 0))
}

// Await waits until free has a value, for at most retry unless that is 0, or until ctx
// ends, whose cause it returns. The caller holds no lock.
func (s *Shared) Await(ctx context.Context, free <-chan struct{}, retry time.Duration) error {
	if s.Wait != nil {
		return s.Wait(ctx, free, retry)
	}
	var again <-chan time.Time
	if retry != 0 {
		timer := time.NewTimer(retry)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-free:
	case <-again:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// Views lends an empty slice with room for sock.MaxViews views. It escapes into
// an interface call, so a local array would be an allocation per write.
func (s *Shared) Views() *[][]byte {
	if v, ok := s.views.Get().(*[][]byte); ok {
		return v
	}
	v := make([][]byte, 0, sock.MaxViews)
	return &v
}

// ReturnViews takes back what Views lent, and forgets the slices in it.
func (s *Shared) ReturnViews(v *[][]byte) {
	clear(*v)
	*v = (*v)[:0]
	s.views.Put(v)
}
