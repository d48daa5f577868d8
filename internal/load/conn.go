package load

import (
	"github.com/weirnet/weir/poller"
)

// conn is one connection of a driver. Both directions carry the same stream, a
// message after the other, so three numbers say where it stands:
//
//	stream  ····echoed····│·····in the kernel or the server·····│···owed···│
//	                      echoAt                                sendAt
type conn struct {
	fd       int // -1 once closed
	id       int
	interest poller.Interest

	// Write side.
	sendAt position
	owed   int // bytes of messages in flight that the kernel has not taken yet

	// Read side.
	echoAt  position
	partial int // bytes of the oldest message that have come back

	// Messages in flight: a ring of the times they were sent at, the oldest at
	// first. It is as long as the window.
	sentAt   []int64 // nanoseconds on the driver's clock
	first    int
	inFlight int
}

// push notes n messages sent at now.
func (c *conn) push(n int, now int64) {
	at := c.first + c.inFlight
	for range n {
		if at >= len(c.sentAt) {
			at -= len(c.sentAt)
		}
		c.sentAt[at] = now
		at++
	}
	c.inFlight += n
}

// pop takes the oldest messages that were sent at one time, n at most, and
// returns how many there were and that time.
func (c *conn) pop(n int) (taken int, sentAt int64) {
	sentAt = c.sentAt[c.first]
	for taken < n && c.sentAt[c.first] == sentAt {
		c.first++
		if c.first == len(c.sentAt) {
			c.first = 0
		}
		taken++
	}
	c.inFlight -= taken
	return taken, sentAt
}

// expected is how many bytes the server still owes us: those that the kernel has
// taken and that have not come back.
func (c *conn) expected(size int) int {
	return c.inFlight*size - c.partial - c.owed
}
