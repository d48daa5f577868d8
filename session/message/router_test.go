package message_test

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
)

// routed is a handler around a router: it hears of the end, too.
type routed struct {
	*message.Router
	closed chan error
}

func (r routed) OnClose(_ *session.Session, reason error) { r.closed <- reason }

// peer is the other end of a session with a router, over a real socket.
type peer struct {
	t *testing.T
	net.Conn
	closed chan error
}

// serve starts an engine with r behind frames, and connects to it.
func serve(t *testing.T, r *message.Router) *peer {
	t.Helper()
	e, err := engine.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	h := routed{r, make(chan error, 1)}
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(h, frame.Default()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{t, c, h.closed}
}

func (p *peer) sendBytes(payload []byte) {
	p.t.Helper()
	n := len(payload)
	head := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	if _, err := p.Write(append(head, payload...)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send(f message.Format, m *message.Message) {
	p.t.Helper()
	p.sendBytes(messagetest.Encode(p.t, f, m))
}

func (p *peer) receive(f message.Format) *message.Message {
	p.t.Helper()
	var head [4]byte
	p.full(head[:])
	payload := make([]byte, int(head[0])<<24|int(head[1])<<16|int(head[2])<<8|int(head[3]))
	p.full(payload)
	m := &message.Message{}
	if err := f.Parse(payload, m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *peer) full(b []byte) {
	p.t.Helper()
	for n := 0; n < len(b); {
		read, err := p.Read(b[n:])
		if err != nil {
			p.t.Fatal(err)
		}
		n += read
	}
}

// Three types reach three handlers, others the default, in every format.
func TestRouter(t *testing.T) {
	for name, f := range map[string]message.Format{"binary": message.Binary{}, "json": message.JSON{}, "xml": message.XML{}} {
		t.Run(name, func(t *testing.T) {
			r := message.NewRouter(f)
			answer := func(who string) message.HandlerFunc {
				return func(s *session.Session, m *message.Message) {
					if err := r.Send(s, m.Reply().Set("handler", message.String(who)).Set("of", message.String(m.Type))); err != nil {
						t.Error(err)
					}
				}
			}
			r.Handle("buy", answer("first")).Handle("sell", answer("second")).Handle("", answer("third")).Default(answer("default"))
			p := serve(t, r)
			for i, c := range []struct{ typ, handler string }{
				{"buy", "first"}, {"sell", "second"}, {"", "third"}, {"other", "default"}, {"Buy", "default"}, {"buy", "first"},
			} {
				p.send(f, message.NewRequest(c.typ, uint64(i+1)).From("a").To("b"))
				got := p.receive(f)
				want := (&message.Message{Header: message.Header{
					Kind: message.KindReply, Type: c.typ, Source: "b", Target: "a", Correlation: uint64(i + 1),
				}}).Set("handler", message.String(c.handler)).Set("of", message.String(c.typ))
				if !got.Equal(want) {
					t.Errorf("%q: got %v: %s", c.typ, got, messagetest.Difference(want, got))
				}
			}
		})
	}
}

// Without a default a request is answered, and an event ends the session with its cause.
func TestRouterWithoutDefault(t *testing.T) {
	f := message.Binary{}
	p := serve(t, message.NewRouter(f).Handle("known", func(*session.Session, *message.Message) {}))
	p.send(f, message.New("known"))
	p.send(f, message.NewRequest("order", 7))
	answer := p.receive(f)
	if err := answer.Err(); !errors.Is(err, errors.ErrUnsupported) || answer.Correlation != 7 {
		t.Errorf("%v: %v", answer, err)
	}
	p.send(f, message.New("news"))
	reason := <-p.closed
	var unhandled *message.UnhandledError
	if !errors.Is(reason, session.ReasonProtocolError) || !errors.As(reason, &unhandled) || unhandled.Type != "news" || !errors.Is(reason, message.CodeUnsupported) {
		t.Errorf("closed for %v", reason)
	}
}

// A frame that is no message ends the session, or is told to whoever asked for that.
func TestRouterMalformed(t *testing.T) {
	f := message.Binary{}
	p := serve(t, message.NewRouter(f))
	p.sendBytes([]byte("nonsense"))
	if reason := <-p.closed; !errors.Is(reason, session.ReasonProtocolError) || !errors.Is(reason, message.ErrMalformed) {
		t.Errorf("closed for %v", reason)
	}

	r := message.NewRouter(f)
	r.Malformed(func(s *session.Session, err error) {
		if err := r.Send(s, message.New("complaint").Fail(err)); err != nil {
			t.Error(err)
		}
	}).Handle("ok", func(s *session.Session, m *message.Message) {
		if err := r.Send(s, m); err != nil {
			t.Error(err)
		}
	})
	p = serve(t, r)
	p.sendBytes(nil)
	if err := p.receive(f).Err(); !errors.Is(err, message.CodeMalformed) {
		t.Error(err)
	}
	p.send(f, message.New("ok"))
	if m := p.receive(f); m.Type != "ok" {
		t.Errorf("the session went on with %v", m)
	}
}

// What Send cannot encode is not sent, and told.
func TestRouterSendRefuses(t *testing.T) {
	f := message.Binary{}
	r := message.NewRouter(f)
	failed := make(chan error, 1)
	r.Default(func(s *session.Session, m *message.Message) {
		failed <- r.Send(s, message.New("bad\n"))
		if err := r.Send(s, m); err != nil {
			t.Error(err)
		}
	})
	p := serve(t, r)
	p.send(f, message.New("t"))
	if err := <-failed; !errors.Is(err, message.ErrName) {
		t.Error(err)
	}
	if m := p.receive(f); m.Type != "t" {
		t.Errorf("got %v", m)
	}
}

func TestRouterRefusesNil(t *testing.T) {
	defer func() {
		if said := fmt.Sprint(recover()); said != `message: nil handler for type "t"` {
			t.Error(said)
		}
	}()
	message.NewRouter(message.Binary{}).Handle("t", nil)
}
