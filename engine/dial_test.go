package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// Step by step, what can happen between a connection that is there and a session that is
// open.

// dialling starts a Dial that connects at once, and returns when the loop has the
// connection. The loop has not opened it yet.
func (st *stage) dialling(ctx context.Context, h session.Handler) (fd int, result <-chan dialled) {
	st.t.Helper()
	fd = st.sockets.open()
	st.engine.deps.Dial = func(context.Context, string, string) (int, netip.AddrPort, error) {
		return fd, netip.MustParseAddrPort("192.0.2.7:7"), nil
	}
	done := make(chan dialled, 1)
	go func() {
		s, err := st.engine.Dial(ctx, "tcp", "example.test:7", h)
		done <- dialled{s, err}
	}()
	for began := time.Now(); st.loop.mail.conns.Load() == nil; time.Sleep(time.Millisecond) {
		// A Dial that has ended, as by its time-out, may have come there meanwhile.
		if (len(done) > 0 || time.Since(began) > 20*time.Second) && st.loop.mail.conns.Load() == nil {
			st.t.Fatal("the connection does not come to the loop")
		}
	}
	return fd, done
}

type dialled struct {
	session *session.Session
	err     error
}

// never is a handler that is not to be opened.
func (st *stage) never() *watcher {
	return &watcher{open: func(*session.Session) { st.t.Error("OnOpen was called") }}
}

// wantGone checks that nothing of a dial is left.
func (st *stage) wantGone(fd int, w *watcher) {
	st.t.Helper()
	if st.sockets.at(fd) != nil {
		st.t.Error("the descriptor is still open")
	}
	if got := st.engine.Stats(); got.Sessions != 0 || got.Opened != 0 || got.Dialled != 0 || got.DialErrors != 1 || len(w.reasons) != 0 {
		st.t.Errorf("%d sessions, %d opened, %d dialled, %d errors, OnClose got %v",
			got.Sessions, got.Opened, got.Dialled, got.DialErrors, w.reasons)
	}
}

func TestDialWaitsForTheLoop(t *testing.T) {
	st := newStage(t)
	_, result := st.dialling(context.Background(), silent)
	select {
	case got := <-result:
		t.Fatalf("Dial returned before the session was open: %v, %v", got.session, got.err)
	case <-time.After(20 * time.Millisecond):
	}
	st.loop.turn()
	got := <-result
	if got.err != nil || got.session.State() != session.Open {
		t.Errorf("%v, %v", got.session, got.err)
	}
}

func TestDialWhoseContextEndsWhileTheLoopIsBusy(t *testing.T) {
	st, ctx, cancel := newStage(t), context.Background(), context.CancelFunc(nil)
	ctx, cancel = context.WithCancel(ctx)
	w := st.never()
	fd, result := st.dialling(ctx, w)
	cancel()
	got := <-result
	var op *net.OpError
	if !errors.Is(got.err, context.Canceled) || !errors.As(got.err, &op) || op.Addr.String() != "192.0.2.7:7" {
		t.Errorf("Dial: %v", got.err)
	}
	socket := st.sockets.at(fd)
	st.loop.turn()
	st.loop.turn()
	st.wantGone(fd, w)
	if socket.linger != 0 {
		t.Errorf("linger %d, want a reset", socket.linger)
	}
}

// A time-out also counts the wait for a loop that is held up.
func TestDialTimeoutWhileTheLoopIsBusy(t *testing.T) {
	st := newStage(t, WithDialTimeout(20*time.Millisecond))
	w := st.never()
	fd, result := st.dialling(context.Background(), w)
	if got := <-result; !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("Dial: %v", got.err)
	}
	st.loop.turn()
	st.loop.turn()
	st.wantGone(fd, w)
}

func TestDialWhenTheEngineStops(t *testing.T) {
	for name, order := range map[string]uint32{"drains": orderDrain, "aborts": orderAbort} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t)
			w := st.never()
			fd, result := st.dialling(context.Background(), w)
			st.engine.command(order)
			st.loop.turn()
			st.loop.turn()
			if got := <-result; got.err != ErrStopped {
				t.Errorf("Dial: %v", got.err)
			}
			st.wantGone(fd, w)
			if !st.loop.finished() {
				t.Error("the loop does not end")
			}
		})
	}
}

// The order has not come to the loop yet, which opens the session: it is sent away.
func TestDialJustBeforeTheEngineStops(t *testing.T) {
	st := newStage(t)
	w := &watcher{}
	_, result := st.dialling(context.Background(), w)
	st.loop.turn()
	st.engine.command(orderAbort)
	got := <-result
	if got.err != nil && got.err != ErrStopped {
		t.Errorf("Dial: %v", got.err)
	}
	st.loop.turn()
	if len(w.reasons) != 1 {
		t.Errorf("OnClose got %v", w.reasons)
	}
}

// While somebody places a connection no loop ends, and the last to do so wakes them.
func TestLoopsWaitForWhoeverPlaces(t *testing.T) {
	st := newStage(t)
	st.engine.placing.Add(1)
	st.engine.command(orderDrain)
	st.loop.turn()
	if st.loop.finished() {
		t.Error("the loop ends, and a connection may still come")
	}
	parks := st.poller.parks
	st.engine.placingEnded()
	if _, err := st.loop.wait(); err != nil || st.poller.parks != parks {
		t.Error("the loop parks, and nobody will wake it")
	}
	st.loop.takeMail()
	if !st.loop.finished() {
		t.Error("the loop does not end")
	}
}

func TestDialWhenThePollerRefuses(t *testing.T) {
	st := newStage(t)
	st.poller.refuse = syscall.ENOSPC
	w := st.never()
	fd, result := st.dialling(context.Background(), w)
	st.loop.turn()
	var op *net.OpError
	if got := <-result; !errors.Is(got.err, syscall.ENOSPC) || !errors.As(got.err, &op) || op.Op != "dial" {
		t.Errorf("Dial: %v", got.err)
	}
	st.wantGone(fd, w)
	if n := st.engine.Stats().Refused; n != 0 {
		t.Errorf("%d refused, but nothing was accepted", n)
	}
}

// refusingOptions fails to set any option but the one that has closing reset.
type refusingOptions struct{ *stageSockets }

func (s refusingOptions) SetOption(fd int, o sock.Option, value int) error {
	if o == sock.Linger {
		return s.stageSockets.SetOption(fd, o, value)
	}
	return syscall.ECONNRESET
}

func TestDialWhenOptionsCannotBeSet(t *testing.T) {
	st := newStage(t)
	st.loop.sockets = refusingOptions{st.sockets}
	w := st.never()
	fd := st.sockets.open()
	socket := st.sockets.at(fd)
	st.engine.deps.Dial = func(context.Context, string, string) (int, netip.AddrPort, error) {
		return fd, netip.MustParseAddrPort("192.0.2.7:7"), nil
	}
	if _, err := st.engine.Dial(context.Background(), "tcp", "example.test:7", w); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Dial: %v", err)
	}
	st.wantGone(fd, w)
	if socket.linger != 0 {
		t.Errorf("linger %d, want a reset", socket.linger)
	}
}

// Somebody found the session before it was open, and closed it.
func TestDialOfASessionThatIsKicked(t *testing.T) {
	st := newStage(t, WithLinger(time.Minute))
	w := st.never()
	_, result := st.dialling(context.Background(), w)
	for s := range st.engine.Sessions {
		if err := s.CloseWith(errKicked); err != nil {
			t.Error(err)
		}
	}
	st.loop.turn()
	if got := <-result; !errors.Is(got.err, errKicked) {
		t.Errorf("Dial: %v", got.err)
	}
}

var errKicked = errors.New("kicked")

// The duplicate of an adopted connection may live on, and would keep the registration.
func TestAdoptedConnIsRemovedFromThePoller(t *testing.T) {
	st := newStage(t)
	plain, double := st.connect(silent), st.connectAs(silent, connection{duplicated: true})
	fd := int(double.fd)
	_ = plain.session.Load().Abort()
	_ = double.session.Load().Abort()
	st.loop.turn()
	if got := st.poller.removed; len(got) != 1 || got[0] != fd {
		t.Errorf("removed %v, want only %d", got, fd)
	}
}
