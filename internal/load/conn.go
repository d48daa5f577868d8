package load

// conn is one connection of a driver. Both directions carry the same stream, a
// message after the other, so three numbers say where it stands:
//
//	stream  ····echoed····│·····in the kernel or the server·····│···owed···│
//	                      echoAt                                sendAt
type conn struct {
	end
	id int

	// Write side.
	sendAt position
	owed   int // bytes of messages in flight that the kernel has not taken yet

	// Read side.
	echoAt  position
	partial int // bytes of the oldest message that have come back

	// Messages in flight: a ring of the times from which their latencies count, the
	// oldest at first. It is as long as the window.
	from     []int64 // nanoseconds on the driver's clock
	first    int
	inFlight int

	// At a fixed rate: how many messages have become due, and been sent.
	due   int64
	begun int64
}

// push notes n messages whose latency counts from that time.
func (c *conn) push(n int, from int64) {
	at := c.first + c.inFlight
	for range n {
		if at >= len(c.from) {
			at -= len(c.from)
		}
		c.from[at] = from
		at++
	}
	c.inFlight += n
}

// pop takes the oldest messages whose latency counts from one time, n at most, and
// returns how many there were and that time.
func (c *conn) pop(n int) (taken int, from int64) {
	from = c.from[c.first]
	for taken < n && c.from[c.first] == from {
		c.first++
		if c.first == len(c.from) {
			c.first = 0
		}
		taken++
	}
	c.inFlight -= taken
	return taken, from
}

// room is how many more messages may be in flight.
func (c *conn) room() int { return len(c.from) - c.inFlight }

// expected is how many bytes the server still owes us: those that the kernel has
// taken and that have not come back.
func (c *conn) expected(size int) int {
	return c.inFlight*size - c.partial - c.owed
}

// unanswered is how many messages have not come back, those included that are due and
// not sent.
func (c *conn) unanswered() int64 { return int64(c.inFlight) + c.due - c.begun }
