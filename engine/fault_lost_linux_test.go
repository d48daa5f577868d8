package engine_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// What happens when packets get lost.

// slack is how much later than its bound something may be noticed on a machine that does
// other things, too.
const slack = 2 * time.Second

// TestFault25DialBlackHoled: nobody answers, not even to refuse. Whatever ends the wait, the
// error tells.
func TestFault25DialBlackHoled(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	const wait, hole = 500 * time.Millisecond, "192.0.2.1" // by then the first packet has left a busy machine, too
	command(t, "ip", "addr", "add", hole+"/32", "dev", "lo")
	command(t, "ip", "addr", "add", "2001:db8::1/128", "dev", "lo", "nodad")
	for name, c := range map[string]struct {
		opts []engine.Option
		end  func(context.Context, *engine.Engine) (context.Context, context.CancelFunc)
		want error
	}{
		"deadline of the context": {
			end: func(ctx context.Context, _ *engine.Engine) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, wait)
			},
			want: context.DeadlineExceeded,
		},
		"dial timeout": {
			opts: []engine.Option{engine.WithDialTimeout(wait)},
			end: func(ctx context.Context, _ *engine.Engine) (context.Context, context.CancelFunc) {
				return ctx, func() {}
			},
			want: context.DeadlineExceeded,
		},
		"cancelled": {
			end: func(ctx context.Context, _ *engine.Engine) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(wait, cancel)
				return ctx, cancel
			},
			want: context.Canceled,
		},
		"the engine stops": {
			end: func(ctx context.Context, e *engine.Engine) (context.Context, context.CancelFunc) {
				time.AfterFunc(wait, e.Stop)
				return ctx, func() {}
			},
			want: engine.ErrStopped,
		},
	} {
		t.Run(name, func(t *testing.T) {
			loseNothing(t)
			lose(t, "ip", "daddr", hole)
			v := launch(t, c.opts...)
			began := time.Now()
			ctx, cancel := c.end(context.Background(), v.engine)
			defer cancel()
			_, err := v.engine.Dial(ctx, "tcp", hole+":7", newEcho())
			took := time.Since(began)
			if !errors.Is(err, c.want) {
				t.Errorf("Dial: %v, want %v", err, c.want)
			}
			if took < wait || took > wait+slack {
				t.Errorf("it took %v, want %v", took, wait)
			}
			if !lostSome(t) {
				t.Error("no packet was lost: this has tested nothing")
			}
			if st := v.engine.Stats(); st.DialErrors != 1 || st.Sessions != 0 {
				t.Errorf("%d errors, %d sessions", st.DialErrors, st.Sessions)
			}
		})
	}
	t.Run("first address of a name", func(t *testing.T) {
		loseNothing(t)
		lose(t, "ip6", "daddr", "2001:db8::1")
		v := launchWithNames(t, map[string][]netip.Addr{"dual.test.": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("127.0.0.1")}})
		v.probe = newProbe()
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		at := netip.MustParseAddrPort(l.Addr().String())
		began := time.Now()
		s, err := v.engine.Dial(context.Background(), "tcp", portOf("dual.test.", at), v.probe)
		must(t, err)
		if took := time.Since(began); took > slack {
			t.Errorf("it took %v", took)
		}
		if got := s.RemoteAddr().String(); got != at.String() || !lostSome(t) {
			t.Errorf("connected to %s, want %v; packets were lost: %v", got, at, lostSome(t))
		}
		must(t, s.Abort())
		await(t, "OnClose", v.probe.closed)
	})
}

// TestFault29PeerVanishes: from some moment on nothing of a peer comes any more, neither FIN
// nor RST. Both ends of a connection find out, each by what it has: a heartbeat, data that
// nobody acknowledges, or TCP's keep-alive.
func TestFault29PeerVanishes(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	const interval, missed = 600 * time.Millisecond, 2 // an answer may be late by one of these
	nothing := func(*session.Session) {}
	for _, c := range []struct {
		name   string
		opts   []engine.Option
		beats  bool
		after  func(*session.Session) // what is done when the peer has vanished
		within time.Duration
		want   session.Reason
		cause  error
	}{
		{"heartbeat", []engine.Option{engine.WithHeartbeat(interval, missed)}, true, nothing,
			missed * interval, session.ReasonHeartbeat, session.ReasonHeartbeat},
		{"user timeout", []engine.Option{engine.WithUserTimeout(time.Second)}, false,
			func(s *session.Session) { check(t, s.Send([]byte("on its way"))) },
			time.Second, session.ReasonIOError, syscall.ETIMEDOUT},
		{"keep-alive", []engine.Option{engine.WithKeepAlive(time.Second), engine.WithUserTimeout(2 * time.Second)}, false, nothing,
			3 * time.Second, session.ReasonIOError, syscall.ETIMEDOUT},
	} {
		for _, end := range []string{"accepted", "dialled"} {
			t.Run(c.name+", "+end, func(t *testing.T) {
				loseNothing(t)
				b := newBeating(newProbe())
				v := launch(t, c.opts...)
				v.probe = b.probe
				h := session.Framed(b.probe, frame.Lines())
				if c.beats {
					h = session.Framed(b, frame.Lines())
				}
				lost, port := answered(t, v, h, end)
				healthy, _ := answered(t, v, h, end)
				if c.beats {
					until(t, "both have answered", func() bool { return lost.Stats().RTT > 0 && healthy.Stats().RTT > 0 })
				}
				lose(t, "tcp", "sport", port)
				lose(t, "tcp", "dport", port)
				began := time.Now()
				c.after(lost)
				got := await(t, "OnClose", b.closed)
				took := time.Since(began)
				if got.session != lost || got.reason.Reason != c.want || !errors.Is(got.reason, c.cause) {
					t.Errorf("closed because of %v, want %v", got.reason, c.cause)
				}
				t.Logf("noticed after %v, bound %v", took, c.within)
				if took > c.within+slack {
					t.Errorf("noticed after %v, want %v", took, c.within)
				}
				if !lostSome(t) {
					t.Error("no packet was lost: this has tested nothing")
				}
				if healthy.State() != session.Open {
					t.Errorf("the other session is %v", healthy.State())
				}
				must(t, healthy.Abort())
				await(t, "OnClose", b.closed)
			})
		}
	}
}

// answered returns a session whose peer answers pings, and the peer's port, which no other
// connection has.
func answered(t *testing.T, v *server, h session.Handler, end string) (*session.Session, string) {
	t.Helper()
	far, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer far.Close()
	var peer net.Conn
	if end == "accepted" {
		peer = dialTo(t, v.listen("tcp4", h).Addr())
	} else {
		_, err := v.engine.Dial(context.Background(), "tcp4", far.Addr().String(), h)
		must(t, err)
		peer, err = far.Accept()
		must(t, err)
		t.Cleanup(func() { peer.Close() })
	}
	go func() {
		for lines := bufio.NewScanner(peer); lines.Scan(); {
			if _, err := peer.Write([]byte("pong\n")); err != nil {
				return
			}
		}
	}()
	_, port, err := net.SplitHostPort(peer.LocalAddr().String())
	must(t, err)
	return await(t, "OnOpen", v.probe.opened), port
}
