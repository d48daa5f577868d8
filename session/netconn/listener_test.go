package netconn_test

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/netconn"
)

// TestAcceptEnds with Listener.Close and with the engine, for who waits and who comes later.
func TestAcceptEnds(t *testing.T) {
	ends := map[string]func(e *engine.Engine, l *netconn.Listener) error{
		"Close":       func(_ *engine.Engine, l *netconn.Listener) error { return l.Close() },
		"Engine.Stop": func(e *engine.Engine, _ *netconn.Listener) error { e.Stop(); return nil },
	}
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		for name, end := range ends {
			t.Run(name, func(t *testing.T) {
				e := launch(t, opts...)
				l := listen(t, e, "tcp")
				ended := make(chan error, 1)
				go func() {
					_, err := l.Accept()
					ended <- err
				}()
				must(t, end(e, l))
				wantError(t, "Accept", await(t, "end of Accept", ended), net.ErrClosed)
				_, err := l.Accept()
				wantError(t, "Accept", err, net.ErrClosed)
			})
		}
	})
}

// TestCloseResetsTheQueue, and leaves what was accepted alone.
func TestCloseResetsTheQueue(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		e := launch(t, opts...)
		l := listen(t, e, "tcp")
		ours, theirs := pair(t, l)
		queued := dialPlain(t, l)
		until(t, "second session opened", func() bool { return e.Stats().Opened == 2 })
		must(t, l.Close())
		wantError(t, "Close", l.Close(), net.ErrClosed)
		if _, err := queued.Read(make([]byte, 1)); err == nil {
			t.Error("a connection that nobody accepted lives on")
		}
		_, err := ours.Write([]byte("x"))
		must(t, err)
		_, err = io.ReadFull(theirs, make([]byte, 1))
		must(t, err)
	})
}

// TestBacklogIsBounded: one more than may wait is reset.
func TestBacklogIsBounded(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		e := launch(t, opts...)
		l := listen(t, e, "tcp", netconn.WithBacklog(2))
		dialPlain(t, l)
		dialPlain(t, l)
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			defer c.Close() // else it was reset already
		}
		until(t, "one is refused", func() bool { return e.Stats().Closed[session.ReasonOverLimit.String()] == 1 })
		for range 2 {
			c, err := l.Accept()
			must(t, err)
			must(t, c.Close())
		}
		ours, _ := pair(t, l) // there is room again
		must(t, ours.Close())
	})
}

func TestBadBacklogIsNamed(t *testing.T) {
	e := launch(t)
	_, err := netconn.Listen(e, "tcp", "127.0.0.1:0", netconn.WithBacklog(0))
	var bad *netconn.OptionError
	if !errors.As(err, &bad) || bad.Option != "backlog" || bad.Value != 0 {
		t.Errorf("Listen returned %v, want an *OptionError for backlog 0", err)
	}
}

// TestListenFunc listens with a socket that somebody else has opened.
func TestListenFunc(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		e := launch(t, opts...)
		theirs, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		l, err := netconn.ListenFunc(func(h session.Handler) (*engine.Listener, error) { return e.Adopt(theirs, h) })
		must(t, err)
		defer l.Close()
		must(t, theirs.Close()) // the engine has a duplicate
		ours, c := pair(t, l)
		_, err = c.Write([]byte("x"))
		must(t, err)
		_, err = io.ReadFull(ours, make([]byte, 1))
		must(t, err)
	})
}

// accepting waits for a connection where it should not.
type accepting struct {
	l    *netconn.Listener
	errs chan error
}

func (a accepting) OnOpen(*session.Session) {
	_, err := a.l.Accept()
	a.errs <- err
}

func (accepting) OnMessage(*session.Session, session.Frame) {}

// TestAcceptOnALoop is a mistake, and is told so.
func TestAcceptOnALoop(t *testing.T) {
	for _, m := range modes {
		if m.name == "pool" {
			continue // there a handler may wait
		}
		t.Run(m.name, func(t *testing.T) {
			e := launch(t, m.opts...)
			l := listen(t, e, "tcp")
			pair(t, l) // the listener knows its engine's loops from its first session on
			h := accepting{l, make(chan error, 1)}
			other, err := e.Listen("tcp", "127.0.0.1:0", h)
			must(t, err)
			dialAddress(t, other.Addr())
			wantError(t, "Accept", await(t, "the handler's error", h.errs), session.ErrDeadlock)
		})
	}
}
