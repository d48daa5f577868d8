package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weirnet/weir/internal/fifo"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// The way of a message:
//
//  1. While there is a session that takes messages, Send gives them to that.
//  2. Else they wait in the client's queue, up to its limit.
//  3. When there is a session again and OnConnect has returned, the queue moves to it, in
//     one go and under the client's lock, so that what is sent later comes later.
//  4. From then on, 1. What a session has taken stays with it: if the kernel does not take
//     it before the session ends, it is reported and not sent again, since nobody knows
//     how much of it the peer has seen.

// messageOverhead is what a message counts for in a client's queue besides its bytes: as
// much as its entry takes.
const messageOverhead = 64

// keep is what waits in a client for a session.
type keep struct {
	messages fifo.Queue[message]
	bytes    int // of all, without overhead

	// Of messages without a completion that the codec of a session did not take, since the
	// last report.
	refused      int
	refusedBytes int
}

type message struct {
	bytes []byte
	done  func(error) // nil: nobody wants to be told
}

// Send sends p as Session.Send does. While there is no session, or the one there is takes no
// more, p is copied and waits for the next one, whose codec frames it; the handler's must be
// able to. Messages of one goroutine stay in order.
//
// Errors are those of Session.Send, with nothing sent: session.ErrBufferFull also if p does
// not fit into the client's queue, session.ErrNotConnected if that has no room at all,
// session.ErrClosed after Close. Nil means that p waits, or that a session has taken it: if
// it cannot be sent after all, the error that OnDisconnect gets counts it.
func (c *Client) Send(p []byte) error { return c.send(p, nil) }

// SendNotify is Send with a completion. When it returns an error, nothing is queued and
// done is never called; session.ErrMailboxFull as Session.SendNotify has it is one more.
// Otherwise done is called exactly once: with nil when the kernel has taken the bytes; with
// the *session.CloseError of the session that had taken p and could not send it; with
// session.ErrClosed or ErrStopped if no session had p before the client was closed, or the
// engine ended; or with the error of a codec. It is called before OnDisconnect is, and
// never at the same time as a function of the client.
func (c *Client) SendNotify(p []byte, done func(error)) error { return c.send(p, done) }

func (c *Client) send(p []byte, done func(error)) error {
	for {
		s := c.live.Load()
		if s == nil {
			var err error
			if s, err = c.keep(p, done); s == nil {
				return err
			}
		}
		var err error
		if done == nil {
			err = s.Send(p)
		} else {
			err = s.SendNotify(p, done)
		}
		if !errors.Is(err, session.ErrClosed) {
			return err
		}
		c.live.CompareAndSwap(s, nil) // it takes no more, although its end has not come
	}
}

// keep queues p, unless there is a session, which it returns.
func (c *Client) keep(p []byte, done func(error)) (*session.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &c.queue
	switch s := c.live.Load(); {
	case c.closed:
		return nil, session.ErrClosed
	case s != nil:
		return s, nil
	case c.options.queue == 0:
		return nil, session.ErrNotConnected
	case len(p) > c.options.queue-q.charged()-messageOverhead:
		return nil, session.ErrBufferFull
	}
	if err := c.framing.Frames(p); err != nil {
		return nil, err
	}
	shared := &c.engine.shared
	if int64(len(p))+shared.Queued.Load() > shared.QueuedCap {
		return nil, session.ErrBufferFull
	}
	shared.Queued.Add(int64(len(p)))
	q.bytes += len(p)
	q.messages.Put(message{slices.Clone(p), done})
	return nil, nil
}

// charged is what counts for the limit.
func (q *keep) charged() int { return q.bytes + q.messages.Len()*messageOverhead }

// take removes the first message. The caller holds the client's lock.
func (c *Client) take() message {
	m := c.queue.messages.Take()
	c.queue.bytes -= len(m.bytes)
	c.engine.shared.Queued.Add(-int64(len(m.bytes)))
	return m
}

// flush moves the queue to s, and has Send give messages to s from then on. If s takes no
// more, the rest stays for the next one. Refused are the completions of messages that the
// codec did not take.
func (c *Client) flush(s *session.Session) (refused []refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	drive := session.Drive(s, transport.Key{})
	for q := &c.queue; !c.closed && q.messages.Len() > 0; {
		m := q.messages.Front()
		err := drive.SendKept(m.bytes, m.done)
		if errors.Is(err, session.ErrClosed) {
			return refused
		}
		c.take()
		switch {
		case err == nil:
		case m.done != nil:
			refused = append(refused, refusal{m.done, err})
		default:
			q.refused++
			q.refusedBytes += len(m.bytes)
			c.engine.clients.unsent.Add(uint64(len(m.bytes)))
		}
	}
	if !c.closed {
		c.live.Store(s)
	}
	return refused
}

// refusal is a completion to be told of an error.
type refusal struct {
	done func(error)
	err  error
}

// remains takes what will not be sent any more: completions to be told, and what is to be
// reported besides. The caller holds the lock.
func (c *Client) remains() (told []refusal, plain, bytes int) {
	plain, bytes = c.queue.refused, c.queue.refusedBytes
	c.queue.refused, c.queue.refusedBytes = 0, 0
	if !c.closed {
		return nil, plain, bytes
	}
	for c.queue.messages.Len() > 0 {
		m := c.take()
		bytes += len(m.bytes)
		c.engine.clients.unsent.Add(uint64(len(m.bytes)))
		if m.done != nil {
			told = append(told, refusal{m.done, c.why})
		} else {
			plain++
		}
	}
	return told, plain, bytes
}

// DisconnectError is what OnDisconnect gets: why there is no session any more, and what
// was not sent of what had been taken.
type DisconnectError struct {
	// Err is the *session.CloseError of the session; session.ErrClosed or ErrStopped if
	// there was none when the client was closed, or the engine ended.
	Err error

	// Messages is how many messages had been taken, by the session or to wait for one, and
	// not been sent, or not in full. Of these, the completions of Notified have been told. A
	// message that waits for the next session is not among them.
	Messages int
	Notified int

	// Bytes is how many bytes of these had not been sent. Those that a session had taken
	// are counted with what its codec puts around them.
	Bytes int
}

// Error tells why, and what was not sent.
func (e *DisconnectError) Error() string {
	if e.Messages == 0 {
		return "engine: disconnected: " + e.Err.Error()
	}
	return fmt.Sprintf("engine: disconnected: %v; %d messages unsent, %d bytes", e.Err, e.Messages, e.Bytes)
}

// Unwrap returns the cause.
func (e *DisconnectError) Unwrap() error { return e.Err }
