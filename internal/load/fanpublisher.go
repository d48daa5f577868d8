package load

import (
	"encoding/binary"
	"fmt"
)

// A message of a fan-out load:
//
//	byte 0      the publisher
//	bytes 1-8   its sequence number, from 0, over all runs
//	the rest    pattern, from a place of its own
//
// What a publisher sends is thus one stream that both ends know. It is written
// once, into a ring as long as the window; sending needs no copy, and verifying
// compares whole reads with the ring.
const fanHeader = 9

// fanPublisher is the stream of one publisher. Positions are bytes from its first
// message on.
//
//	stream  ···finished···│·····somebody lacks it·····│···owed···│
//	        finished×size                       flushed     published×size
type fanPublisher struct {
	id      int
	size    int64
	pattern pattern

	published int64 // messages put into the ring
	finished  int64 // messages that all connections have
	flushed   int64 // bytes that the kernel has taken

	window int64
	ring   []byte  // window messages
	dueAt  []int64 // of each message in the ring, nanoseconds on the driver's clock

	// standing counts the connections by how many messages they have: from
	// finished to finished+window, so it has window+1 places.
	standing []int32
}

// open begins a run: nothing is unfinished.
func (p *fanPublisher) open(window int64, connections int) {
	p.window = window
	p.ring = make([]byte, window*p.size)
	p.dueAt = make([]int64, window)
	p.standing = make([]int32, window+1)
	p.standing[p.published%(window+1)] = int32(connections)
}

// room is how many messages may be published now.
func (p *fanPublisher) room() int64 { return p.window - (p.published - p.finished) }

// publish puts a message into the ring; there must be room.
func (p *fanPublisher) publish(dueAt int64) {
	slot := p.published % p.window
	message := p.ring[slot*p.size : (slot+1)*p.size]
	p.encode(message, p.published)
	p.dueAt[slot] = dueAt
	p.published++
}

func (p *fanPublisher) encode(message []byte, sequence int64) {
	message[0] = byte(p.id)
	binary.LittleEndian.PutUint64(message[1:], uint64(sequence))
	body := message[fanHeader:]
	copy(body, p.pattern.window(startOf(int(sequence%patternLength)).plus(p.id), len(body)))
}

// view is the stream from position at to position to, or to the end of the ring.
func (p *fanPublisher) view(at, to int64) []byte {
	i := at % int64(len(p.ring))
	return p.ring[i:min(i+to-at, int64(len(p.ring)))]
}

// end is the position after all that is published.
func (p *fanPublisher) end() int64 { return p.published * p.size }

// move notes that a connection that had from messages has to now, and says whether
// some may be finished.
func (p *fanPublisher) move(from, to int64) bool {
	p.standing[from%(p.window+1)]--
	p.standing[to%(p.window+1)]++
	return from == p.finished && p.standing[from%(p.window+1)] == 0
}

// finish takes the next message out of the window if all have it.
func (p *fanPublisher) finish() (dueAt int64, ok bool) {
	if p.finished == p.published || p.standing[p.finished%(p.window+1)] != 0 {
		return 0, false
	}
	dueAt = p.dueAt[p.finished%p.window]
	p.finished++
	return dueAt, true
}

// explain says in what got, which arrived at position at, is not the stream.
func (p *fanPublisher) explain(got []byte, at int64) string {
	want := p.view(at, at+int64(len(got)))
	i := mismatch(got[:len(want)], want)
	expected := (at + int64(i)) / p.size
	begin := int(expected*p.size - at)
	if i == begin {
		return fmt.Sprintf("a message of publisher %d came where message %d of publisher %d was expected", got[i], expected, p.id)
	}
	if begin < 0 || begin+fanHeader > len(got) || i >= begin+fanHeader {
		return fmt.Sprintf("wrong byte: 0x%02x in message %d of publisher %d where 0x%02x was sent", got[i], expected, p.id, want[i])
	}
	came := int64(binary.LittleEndian.Uint64(got[begin+1:]))
	switch {
	case came >= 0 && came < expected:
		return fmt.Sprintf("message %d of publisher %d came again where %d was expected", came, p.id, expected)
	case came > expected && came < p.published:
		return fmt.Sprintf("message %d of publisher %d came where %d was expected: lost or overtaken", came, p.id, expected)
	default:
		return fmt.Sprintf("message %d of publisher %d has the number %d", expected, p.id, came)
	}
}

// explainSurplus says what got is, which begins where the stream ends so far.
func (p *fanPublisher) explainSurplus(got []byte) string {
	if len(got) >= fanHeader {
		came := int64(binary.LittleEndian.Uint64(got[1:]))
		if int(got[0]) == p.id && came >= 0 && came < p.published {
			return fmt.Sprintf("message %d of publisher %d came again after message %d, the last that was sent", came, p.id, p.published-1)
		}
	}
	return fmt.Sprintf("more came than was sent: %d bytes after message %d of publisher %d", len(got), p.published-1, p.id)
}
