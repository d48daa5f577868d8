package enginetest

import (
	"syscall"
	"time"

	"github.com/weirnet/weir/poller"
)

// A gate decides what a network may decide: how much a call moves, when it
// fails, which events come when. It is called with no lock held, on the
// goroutine that makes the call, and so may do what others could do at that
// moment.
type gate interface {
	// recv and send are asked before n bytes are moved: how many may be at most,
	// from 1 to n, or 0 for EAGAIN. What is held back is announced by an edge.
	recv(s *socket, n int) int
	send(s *socket, n int) int

	// moved is told what recv or send did.
	moved(call string, s *socket, n int, errno syscall.Errno)

	// accept is asked before a connection is taken. With an error of one
	// connection, that connection is lost.
	accept() syscall.Errno

	// register is asked before a registration is made.
	register(r *registration) error

	// wait is called by Poll, and by Park with its deadline. It returns when the
	// poller may look; an error is what Poll or Park then return.
	wait(p *memoryPoller, park bool, deadline time.Time) error

	// arrange puts the descriptors that changed in the order in which they are
	// reported, and returns how many of them are reported now. It alone is called
	// under the network's lock.
	arrange(ready []*registration) int

	// invent may add events that nobody asked for behind the n that there are.
	invent(p *memoryPoller, events []poller.Event, n int) int

	// ended is called when a poller is closed.
	ended(p *memoryPoller)
}

// openGate lets everything through, in real time.
type openGate struct{}

func (openGate) recv(_ *socket, n int) int                           { return n }
func (openGate) send(_ *socket, n int) int                           { return n }
func (openGate) moved(string, *socket, int, syscall.Errno)           {}
func (openGate) accept() syscall.Errno                               { return 0 }
func (openGate) register(*registration) error                        { return nil }
func (openGate) arrange(ready []*registration) int                   { return len(ready) }
func (openGate) invent(_ *memoryPoller, _ []poller.Event, n int) int { return n }
func (openGate) ended(*memoryPoller)                                 {}

func (openGate) wait(p *memoryPoller, park bool, deadline time.Time) error {
	if park {
		p.sleep(deadline)
	}
	return nil
}
