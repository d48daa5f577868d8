package message

import (
	"fmt"
	"sync"

	"github.com/weirnet/weir/session"
)

// A HandlerFunc is given a message that came over s. The message is the router's: it is valid
// until the function returns; Clone it to keep it.
type HandlerFunc func(s *session.Session, m *Message)

// Router is a session.Handler that parses messages and gives each to the handler for its type.
// Set it up before the first session; from then on it is only read, and serves any number of
// sessions at once. Embed it in a type of your own to add OnOpen or OnClose:
//
//	type server struct{ *message.Router }
//
//	func (server) OnClose(s *session.Session, reason error) { ... }
//
// Sessions need a codec, see session.Framed, or what comes in is not cut into messages.
type Router struct {
	format    Format
	handlers  map[string]HandlerFunc
	otherwise HandlerFunc
	malformed func(s *session.Session, err error)

	messages sync.Pool // of *Message
	buffers  sync.Pool // of *[]byte
}

// NewRouter returns a Router without handlers for messages of a format, which must not be nil.
func NewRouter(f Format) *Router {
	return &Router{format: f}
}

// Handle sets who is given messages of a type, in place of an earlier one, and returns r. H
// must not be nil. It is called where the session's handlers run, with all kinds of messages.
func (r *Router) Handle(typ string, h HandlerFunc) *Router {
	if h == nil {
		panic(fmt.Sprintf("message: nil handler for type %s", quote(typ)))
	}
	if r.handlers == nil {
		r.handlers = make(map[string]HandlerFunc)
	}
	r.handlers[typ] = h
	return r
}

// Default sets who is given messages of all other types, and returns r. Without it a request is
// answered with CodeUnsupported, and anything else ends the session for
// session.ReasonProtocolError, with an *UnhandledError as the cause: nothing is lost silently.
func (r *Router) Default(h HandlerFunc) *Router {
	r.otherwise = h
	return r
}

// Malformed sets who is told of frames that are no message of the format, with the
// *FormatError, and returns r. Without it such a frame ends the session, for
// session.ReasonProtocolError with that cause.
func (r *Router) Malformed(h func(s *session.Session, err error)) *Router {
	r.malformed = h
	return r
}

// Format returns what the router parses, and Send writes.
func (r *Router) Format() Format { return r.format }

// OnMessage parses a frame and gives it to the handler for its type.
func (r *Router) OnMessage(s *session.Session, f session.Frame) {
	m, ok := r.messages.Get().(*Message)
	if !ok {
		m = new(Message)
	}
	if err := r.format.Parse(f.Bytes(), m); err != nil {
		r.refuse(s, err)
		return
	}
	r.route(s, m)
	if m.Len() <= pooledValuesMax { // larger ones would keep much memory
		m.Reset()
		r.messages.Put(m)
	}
}

// pooledValuesMax is how many values a message may have had to be used again, and
// pooledBytesMax how large a buffer may have become.
const (
	pooledValuesMax = 64
	pooledBytesMax  = 64 << 10
)

func (r *Router) refuse(s *session.Session, err error) {
	if r.malformed != nil {
		r.malformed(s, err)
		return
	}
	end(s, err)
}

// end closes s because its peer does what it must not.
func end(s *session.Session, cause error) {
	// It fails if the session is closing already: then its reason is another.
	_ = s.CloseWith(fmt.Errorf("%w: %w", session.ReasonProtocolError, cause))
}

func (r *Router) route(s *session.Session, m *Message) {
	h, ok := r.handlers[m.Type]
	switch {
	case ok:
		h(s, m)
	case r.otherwise != nil:
		r.otherwise(s, m)
	case m.Kind == KindRequest:
		answer := m.Fail(&Error{Code: CodeUnsupported, Text: "no handler for type " + quote(m.Type)})
		if err := r.Send(s, answer); err != nil {
			end(s, err) // the peer would wait for ever
		}
	default:
		end(s, &UnhandledError{Kind: m.Kind, Type: m.Type})
	}
}

// Send encodes m and sends it over s. Any goroutine may call it. The error is a *FormatError, or
// one of session.Send; nothing was sent then.
func (r *Router) Send(s *session.Session, m *Message) error {
	b, ok := r.buffers.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	p, err := r.format.Append((*b)[:0], m)
	if err == nil {
		err = s.Send(p)
	}
	if cap(p) <= pooledBytesMax {
		*b = p
		r.buffers.Put(b)
	}
	return err
}

// UnhandledError tells of a message that nobody handles.
type UnhandledError struct {
	Kind Kind
	Type string
}

// Error names kind and type.
func (e *UnhandledError) Error() string {
	return fmt.Sprintf("message: no handler for %v of type %s", e.Kind, quote(e.Type))
}

// Is reports whether target is CodeUnsupported.
func (e *UnhandledError) Is(target error) bool { return target == CodeUnsupported }
