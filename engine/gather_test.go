package engine_test

import (
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// What handlers send gathers until they return, but not behind one that takes long.

// blocker answers each message, and blocks in the one that says so.
type blocker struct {
	blocked chan struct{}
	release chan struct{}
	opened  chan *session.Session
}

func newBlocker() *blocker {
	return &blocker{make(chan struct{}), make(chan struct{}), make(chan *session.Session, 10)}
}

func (b *blocker) OnOpen(s *session.Session) { b.opened <- s }

func (b *blocker) OnMessage(s *session.Session, f session.Frame) {
	if string(f.Bytes()) == "block" {
		close(b.blocked)
		<-b.release
	}
	_ = s.Send(f.Bytes())
}

// The answer to a quick message does not wait for the handler of a slow one that came
// with it.
func TestSlowHandlerDoesNotHoldBackAnswers(t *testing.T) {
	b := newBlocker()
	v := launch(t)
	l := v.listen("tcp4", session.Framed(b, frame.Lines()))
	c := dialTo(t, l.Addr())
	if _, err := c.Write([]byte("quick\nblock\n")); err != nil {
		t.Fatal(err)
	}
	await(t, "the slow handler", b.blocked)
	mustRead(t, c, "quick\n")
	close(b.release)
	mustRead(t, c, "block\n")
}

// Nor does what others publish, while the only worker is one that blocks.
func TestBlockedHandlerDoesNotHoldBackGroups(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline} {
		t.Run(mode.String(), func(t *testing.T) {
			b := newBlocker()
			v := launch(t, engine.WithMode(mode), engine.WithLoops(2))
			l := v.listen("tcp4", session.Framed(b, frame.Lines()))
			one, two := dialTo(t, l.Addr()), dialTo(t, l.Addr())
			g := v.engine.Group("all")
			for range 2 {
				must(t, g.Join(await(t, "OnOpen", b.opened)))
			}
			if _, err := one.Write([]byte("block\n")); err != nil {
				t.Fatal(err)
			}
			await(t, "the slow handler", b.blocked)
			must(t, g.Send([]byte("news")))
			mustRead(t, two, "news\n")
			close(b.release)
		})
	}
}
