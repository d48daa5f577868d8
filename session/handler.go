package session

import (
	"reflect"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/session/frame"
)

// Handler is told of a session's messages. Calls for one session never overlap
// and come in order; one Handler may serve many sessions at once, on different
// goroutines. A Handler that blocks holds up its session, and in inline mode every
// session of its loop.
//
// A Handler may have more parts, which are looked for once, when it is set:
// Opener, Closer, PeerCloser, FlowWatcher and Pinger.
type Handler interface {
	// OnMessage is called with each message. The frame is valid until it
	// returns; see Frame for how to keep it.
	OnMessage(s *Session, f Frame)
}

// Opener is told of a session before its first message.
type Opener interface {
	// OnOpen is called once, with the remote address set.
	OnOpen(s *Session)
}

// Closer is told of a session's end, exactly once if it was opened.
type Closer interface {
	// OnClose is the last call. Send returns ErrClosed, the id finds nothing, and
	// the descriptor is closed as soon as nobody uses it any more. The reason is
	// a *CloseError.
	OnClose(s *Session, reason error)
}

// PeerCloser is told that the peer sends no more. It is called only where the
// engine leaves half-open sessions alone; without it, or without that option,
// the session drains and closes.
type PeerCloser interface {
	// OnPeerClose is called once, after the last message.
	OnPeerClose(s *Session)
}

// FlowWatcher is told when the peer reads more slowly than is sent. The two calls
// alternate, OnBackpressure first.
type FlowWatcher interface {
	// OnBackpressure is called when the queued output has risen to high water.
	// Messages wait from then on.
	OnBackpressure(s *Session)

	// OnWritable is called when it has fallen to low water again.
	OnWritable(s *Session)
}

// HandlerFunc is a Handler made of one function.
type HandlerFunc func(s *Session, f Frame)

// OnMessage calls h.
func (h HandlerFunc) OnMessage(s *Session, f Frame) { h(s, f) }

// Behaviour is a Handler with its parts looked up. Sessions that start with the
// same Handler share one.
type Behaviour struct {
	message   Handler
	open      Opener
	close     Closer
	peerClose PeerCloser
	flow      FlowWatcher
	ping      Pinger
	codec     frame.Codec // nil: messages are what was read
	attendant Attendant   // of the session, whatever its handler is; nil if it has none
	tap       *Tap        // takes what comes, instead of a handler; else nil
}

// NewBehaviour looks up the parts of h, which must not be nil.
func NewBehaviour(h Handler) *Behaviour {
	b := &Behaviour{}
	if a, ok := h.(attended); ok {
		h, b.attendant = a.Handler, a.attendant
	}
	if f, ok := h.(framed); ok {
		h, b.codec = f.Handler, f.codec
	}
	b.message = h
	b.open, _ = h.(Opener)
	b.close, _ = h.(Closer)
	b.peerClose, _ = h.(PeerCloser)
	b.flow, _ = h.(FlowWatcher)
	b.ping, _ = h.(Pinger)
	return b
}

// Framed returns h for sessions whose messages are frames of a codec: OnMessage is
// called with each payload, and Send frames what it sends. A codec of nil, or
// frame.Raw(), takes and sends bytes as they are, as without Framed. A peer that breaks
// the codec's rules is closed for ReasonProtocolError, with a *frame.Error as the cause;
// io.ErrUnexpectedEOF if it ends in the middle of a frame.
func Framed(h Handler, c frame.Codec) Handler {
	if f, ok := h.(framed); ok {
		h = f.Handler
	}
	return framed{h, cutting(c)}
}

type framed struct {
	Handler
	codec frame.Codec
}

// cutting returns c, or nil if it does nothing.
func cutting(c frame.Codec) frame.Codec {
	switch {
	case c == frame.Raw():
		return nil
	case c != nil && !reflect.ValueOf(c).Comparable():
		return &sole{c}
	}
	return c
}

// sole is a codec that cannot be compared with others, as groups do: it is like none.
type sole struct{ frame.Codec }

// Frame is a message as it came in: a view of memory that the engine will use
// again. It is valid until OnMessage returns; Retain keeps it longer.
type Frame struct {
	bytes   []byte
	segment *buffer.Segment
	pool    *buffer.Pool
}

// Bytes returns the message. The slice must not be kept after OnMessage returns,
// and not be changed once it was given to Send. Its capacity is its length.
func (f Frame) Bytes() []byte { return f.bytes }

// Len returns how many bytes the message has.
func (f Frame) Len() int { return len(f.bytes) }

// Retain returns a frame with the same bytes that stays valid until its
// Release. A message that is small beside the memory it lies in is copied, so
// that keeping it does not hold on to more than four times its size, or 256
// bytes.
func (f Frame) Retain() Frame {
	if f.segment == nil {
		return f // an empty message
	}
	if len(f.bytes)*4 >= f.segment.Cap() {
		f.segment.Retain()
		return f
	}
	kept := f.pool.Get(len(f.bytes))
	bytes := kept.Bytes()[:len(f.bytes):len(f.bytes)]
	copy(bytes, f.bytes)
	return Frame{bytes: bytes, segment: kept, pool: f.pool}
}

// Release gives up a frame that Retain returned. Its bytes must not be used
// afterwards. Any goroutine may call it, once.
func (f Frame) Release() {
	if f.segment != nil {
		f.segment.Release()
	}
}
