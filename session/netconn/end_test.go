package netconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/netconn"
)

// waiting has somebody wait in Read and in Write, and returns what they end with.
func waiting(t *testing.T, c *netconn.Conn) (ends <-chan error) {
	t.Helper()
	both := make(chan error, 2)
	go func() {
		_, err := c.Read(make([]byte, 1))
		both <- err
	}()
	go func() {
		_, err := c.Write(make([]byte, 64<<20)) // more than anybody takes
		both <- err
	}()
	until(t, "output queued", func() bool { return c.Session().Stats().Queued > 64<<10 })
	return both
}

// TestEnds: whatever ends a session wakes who waits, and says why.
func TestEnds(t *testing.T) {
	cases := []struct {
		name string
		end  func(t *testing.T, e *engine.Engine, ours *netconn.Conn, theirs stream)
		want []error // all of them
		not  error   // or nil
	}{
		{
			"Close", func(t *testing.T, _ *engine.Engine, ours *netconn.Conn, _ stream) { must(t, ours.Close()) },
			[]error{net.ErrClosed}, nil,
		}, {
			"the peer's reset", func(t *testing.T, _ *engine.Engine, _ *netconn.Conn, theirs stream) {
				must(t, theirs.(*net.TCPConn).SetLinger(0))
				must(t, theirs.Close())
			},
			[]error{session.ReasonPeerReset}, net.ErrClosed,
		}, {
			"Abort", func(t *testing.T, _ *engine.Engine, ours *netconn.Conn, _ stream) { must(t, ours.Session().Abort()) },
			[]error{net.ErrClosed, session.ReasonAborted}, nil,
		}, {
			"Kick", func(t *testing.T, e *engine.Engine, ours *netconn.Conn, _ stream) {
				must(t, e.Kick(ours.Session().ID(), nil))
			},
			[]error{net.ErrClosed, session.ReasonLocalClose}, nil,
		}, {
			"Engine.Close", func(t *testing.T, e *engine.Engine, _ *netconn.Conn, _ stream) { must(t, e.Close()) },
			[]error{net.ErrClosed}, nil,
		},
	}
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				e := launch(t, opts...)
				ours, theirs := pair(t, listen(t, e, "tcp"))
				ends := waiting(t, ours)
				c.end(t, e, ours, theirs)
				for range 2 {
					err := await(t, "end of Read and Write", ends)
					for _, want := range c.want {
						wantError(t, "Read or Write", err, want)
					}
					// The kernel tells of a reset once; who asks after that gets EPIPE.
					if errors.Is(err, session.ReasonPeerReset) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
						t.Errorf("%v is neither ECONNRESET nor EPIPE", err)
					}
					if c.not != nil && errors.Is(err, c.not) {
						t.Errorf("%v is %v, which it should not be", err, c.not)
					}
					var op *net.OpError
					if !errors.As(err, &op) || op.Source == nil || op.Addr == nil {
						t.Errorf("%v is no *net.OpError with both addresses", err)
					}
				}
			})
		}
	})
}

// TestAfterClose: every method says so.
func TestAfterClose(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		ours, theirs := pair(t, listen(t, launch(t, opts...), "tcp"))
		local, remote := ours.LocalAddr().String(), ours.RemoteAddr().String()
		_, err := ours.Write([]byte("last words"))
		must(t, err)
		must(t, ours.Close())
		got, err := io.ReadAll(theirs)
		if must(t, err); string(got) != "last words" {
			t.Errorf("the peer got %q", got)
		}
		_, err = ours.Read(make([]byte, 1))
		wantError(t, "Read", err, net.ErrClosed)
		_, err = ours.Write([]byte("x"))
		wantError(t, "Write", err, net.ErrClosed)
		wantError(t, "Close", ours.Close(), net.ErrClosed)
		wantError(t, "CloseWrite", ours.CloseWrite(), net.ErrClosed)
		wantError(t, "SetDeadline", ours.SetDeadline(time.Time{}), net.ErrClosed)
		wantError(t, "Unread", ours.Unread([]byte("x")), net.ErrClosed)
		wantError(t, "Release", ours.Release(newCollector()), net.ErrClosed)
		if ours.LocalAddr().String() != local || ours.RemoteAddr().String() != remote {
			t.Errorf("addresses are %v and %v, want %v and %v", ours.LocalAddr(), ours.RemoteAddr(), local, remote)
		}
	})
}

// TestAfterCloseWrite: Write fails as package net's does.
func TestAfterCloseWrite(t *testing.T) {
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		ours, _ := pair(t, listen(t, launch(t, opts...), "tcp"))
		must(t, ours.CloseWrite())
		_, err := ours.Write([]byte("x"))
		wantError(t, "Write", err, syscall.EPIPE)
	})
}

// TestDialErrors are the engine's.
func TestDialErrors(t *testing.T) {
	e := launch(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	_, err = netconn.Dial(context.Background(), e, "tcp", closed.Addr().String())
	wantError(t, "Dial", err, syscall.ECONNREFUSED)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = netconn.Dial(gone, e, "tcp", closed.Addr().String())
	wantError(t, "Dial", err, context.Canceled)
}

// caught runs f as a handler and returns its error.
type caught struct {
	f    func(s *session.Session) error
	errs chan error
}

func (c caught) OnOpen(s *session.Session)               { c.errs <- c.f(s) }
func (caught) OnMessage(*session.Session, session.Frame) {}

// TestWaitingHandlers: where the loop runs handlers it would wait for itself, and is told
// so; on a worker a handler may wait.
func TestWaitingHandlers(t *testing.T) {
	calls := map[string]func(s *session.Session) error{
		"Read": func(s *session.Session) error {
			_, err := io.ReadFull(netconn.New(s), make([]byte, 1))
			return err
		},
		"Write": func(s *session.Session) error {
			_, err := netconn.New(s).Write(make([]byte, 16<<20))
			return err
		},
	}
	for _, m := range modes {
		for name, call := range calls {
			t.Run(m.name+"/"+name, func(t *testing.T) {
				e := launch(t, m.opts...)
				h := caught{call, make(chan error, 1)}
				l, err := e.Listen("tcp", "127.0.0.1:0", h)
				must(t, err)
				theirs := dialAddress(t, l.Addr())
				var want error
				if m.name != "pool" {
					want = session.ErrDeadlock
					wantError(t, name, await(t, "the handler's error", h.errs), want)
					return
				}
				if name == "Read" {
					_, err := theirs.Write([]byte("x"))
					must(t, err)
				} else {
					_, err := io.CopyN(io.Discard, theirs, 16<<20)
					must(t, err)
				}
				wantError(t, name, await(t, "the handler's error", h.errs), want)
			})
		}
	}
}
