package session_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Every method in every state.
func TestMethodsInEveryState(t *testing.T) {
	connecting := func(*rig) {}
	open := func(r *rig) { r.driver.Open() }
	halfClosed := func(r *rig) { r.driver.Open(); _ = r.session.CloseWrite() }
	draining := func(r *rig) { r.driver.Open(); _ = r.session.Close() }
	aborted := func(r *rig) { r.driver.Open(); _ = r.session.Abort() }
	failed := func(r *rig) {
		r.driver.Open()
		r.link.script = []answer{{errno: syscall.EPIPE}}
		_ = r.session.Send([]byte("x"))
	}
	closed := func(r *rig) { r.driver.Open(); r.close() }
	neverOpened := func(r *rig) { r.close() }

	states := []struct {
		name  string
		reach func(*rig)
		state session.State
	}{
		{"connecting", connecting, session.Connecting},
		{"open", open, session.Open},
		{"half-closed", halfClosed, session.Open},
		{"draining", draining, session.Draining},
		{"aborted", aborted, session.Draining},
		{"failed", failed, session.Open},
		{"closed", closed, session.Closed},
		{"never opened", neverOpened, session.Closed},
	}
	notYet, over, ok := session.ErrNotConnected, session.ErrClosed, error(nil)
	methods := []struct {
		name string
		call func(*session.Session) error
		want []error // per state
	}{
		{"Send", func(s *session.Session) error { return s.Send([]byte("p")) },
			[]error{notYet, ok, over, over, over, over, over, over}},
		{"SendOwned", func(s *session.Session) error { return s.SendOwned([]byte("p"), nil) },
			[]error{notYet, ok, over, over, over, over, over, over}},
		{"SendAndClose", func(s *session.Session) error { return s.SendAndClose([]byte("p"), nil) },
			[]error{notYet, ok, over, over, over, over, over, over}},
		{"Flush", (*session.Session).Flush,
			[]error{ok, ok, ok, ok, ok, ok, over, over}},
		{"CloseWrite", (*session.Session).CloseWrite,
			[]error{notYet, ok, over, over, over, over, over, over}},
		{"Close", (*session.Session).Close,
			[]error{ok, ok, ok, over, over, ok, over, over}},
		{"CloseWith", func(s *session.Session) error { return s.CloseWith(io.EOF) },
			[]error{ok, ok, ok, over, over, ok, over, over}},
		{"Abort", (*session.Session).Abort,
			[]error{ok, ok, ok, ok, over, ok, over, over}},
		{"Post", func(s *session.Session) error { return s.Post(func() {}) },
			[]error{ok, ok, ok, ok, ok, ok, over, over}},
		{"SyscallConn", func(s *session.Session) error { _, err := s.SyscallConn(); return err },
			[]error{ok, ok, ok, ok, ok, ok, over, over}},
		{"TCP, then NoDelay", func(s *session.Session) error {
			tcp, err := s.TCP()
			if err != nil {
				return err
			}
			_, err = tcp.NoDelay()
			return err
		},
			[]error{ok, ok, ok, ok, ok, ok, over, over}},
		{"no error", func(s *session.Session) error {
			s.PauseRead()
			s.ResumeRead()
			s.SetValue(s.Value())
			s.SetHandler(&parts{})
			_ = s.Context()
			_ = s.Stats()
			_ = s.RemoteAddr()
			return nil
		},
			[]error{ok, ok, ok, ok, ok, ok, ok, ok}},
	}
	for i, state := range states {
		for _, method := range methods {
			t.Run(state.name+"/"+method.name, func(t *testing.T) {
				r := newRig(t, &parts{})
				state.reach(r)
				if got := r.session.State(); got != state.state {
					t.Fatalf("state %v, want %v", got, state.state)
				}
				err := method.call(r.session)
				wantError(t, method.name, err, method.want[i])
				if method.want[i] == over {
					wantError(t, method.name, err, net.ErrClosed)
				}
				if now := r.session.State(); now < state.state {
					t.Errorf("state went back from %v to %v", state.state, now)
				}
			})
		}
	}
}

func TestLocalAddrIsNilWhenClosed(t *testing.T) {
	r := openRig(t, &parts{})
	if r.session.LocalAddr() == nil {
		t.Error("no local address while open")
	}
	r.close()
	if got := r.session.LocalAddr(); got != nil {
		t.Errorf("local address %v of a closed session", got)
	}
}

// Errors that callers test for, and the standard library's errors they are.
func TestErrorsAre(t *testing.T) {
	for _, c := range []struct{ err, is error }{
		{session.ErrClosed, net.ErrClosed},
		{session.ErrNotSupported, errors.ErrUnsupported},
	} {
		if !errors.Is(c.err, c.is) {
			t.Errorf("%v is not %v", c.err, c.is)
		}
	}
	all := []error{session.ErrClosed, session.ErrBufferFull, session.ErrNotConnected, session.ErrNotSupported, session.ErrMailboxFull}
	for i, a := range all {
		for j, b := range all {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("errors.Is(%v, %v) is %v", a, b, i != j)
			}
		}
	}
}

func TestStatesInOrder(t *testing.T) {
	var seen []session.State
	note := func(s *session.Session) { seen = append(seen, s.State()) }
	r := newRig(t, &parts{
		open:    note,
		message: func(s *session.Session, _ session.Frame) { note(s); _ = s.Close(); note(s) },
		close:   func(s *session.Session, _ error) { note(s) },
	})
	note(r.session)
	r.driver.Open()
	r.driver.Open() // a second one does nothing
	r.deliver("x")
	r.deliver("discarded")
	r.close()
	want := []session.State{session.Connecting, session.Open, session.Open, session.Draining, session.Closed}
	if len(seen) != len(want) {
		t.Fatalf("saw %v, want %v", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Fatalf("saw %v, want %v", seen, want)
		}
	}
}

func TestCloseWritesWhatIsQueuedThenFIN(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{{n: 2}, again}
	r.send("hello")
	r.link.attended()
	wantError(t, "Close", r.session.Close(), nil)
	r.wantAttended(true)
	r.wantStatus(transport.Draining | transport.Blocked)
	if r.link.shutdown != 0 {
		t.Fatal("FIN before the queue was written")
	}
	if st := r.driver.Writable(); st != transport.Draining|transport.Drained {
		t.Errorf("status %08b, want Draining and Drained", st)
	}
	r.wantTaken("hello")
	if r.link.shutdown != 1 {
		t.Errorf("%d FINs, want 1", r.link.shutdown)
	}
	r.driver.Writable()
	if r.link.shutdown != 1 {
		t.Errorf("%d FINs, want 1", r.link.shutdown)
	}
	if got := r.close(); got.Reason != session.ReasonLocalClose || got.Unsent != 0 {
		t.Errorf("closed with %v", got)
	}
}

func TestCloseInHandlerWaitsForItsSends(t *testing.T) {
	var r *rig
	r = openRig(t, &parts{message: func(s *session.Session, _ session.Frame) {
		_ = s.Send([]byte("bye"))
		_ = s.Close()
		if r.link.shutdown != 0 {
			t.Error("FIN before what the handler sent")
		}
	}})
	if st := r.deliver("x"); st != transport.Draining|transport.Drained {
		t.Errorf("status %08b, want Draining and Drained", st)
	}
	r.wantTaken("bye")
	r.wantAttended(false)
}

func TestCloseWriteGoesOnReading(t *testing.T) {
	var got string
	r := openRig(t, &parts{message: func(_ *session.Session, f session.Frame) { got += string(f.Bytes()) }})
	r.link.script = []answer{again}
	r.send("last")
	wantError(t, "CloseWrite", r.session.CloseWrite(), nil)
	if r.link.shutdown != 0 {
		t.Fatal("FIN before the queue was written")
	}
	r.driver.Writable()
	if r.link.shutdown != 1 {
		t.Fatalf("%d FINs, want 1", r.link.shutdown)
	}
	r.wantStatus(transport.Drained)
	r.deliver("answer")
	if got != "answer" {
		t.Errorf("delivered %q after CloseWrite", got)
	}
	if st := r.driver.PeerClosed(); st != transport.Draining|transport.Drained {
		t.Errorf("status %08b after the peer's FIN", st)
	}
	if got := r.close(); got.Reason != session.ReasonPeerClosed {
		t.Errorf("closed with %v", got)
	}
}

func TestRefusedFIN(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.refuseFIN = syscall.ENOTCONN
	wantError(t, "Close", r.session.Close(), nil)
	if st := r.driver.Status(); st&transport.Failed == 0 {
		t.Errorf("status %08b, want Failed", st)
	}
	r.close()
}

func TestAbortDropsTheQueue(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{again}
	r.send("dropped")
	r.link.attended()
	wantError(t, "Abort", r.session.Abort(), nil)
	r.wantAttended(true)
	if st := r.driver.Status(); st&transport.Aborted == 0 {
		t.Errorf("status %08b, want Aborted", st)
	}
	r.link.writes()
	r.driver.Writable()
	r.wantWrites(0)
	if got := r.close(); got.Reason != session.ReasonAborted || got.Unsent != 7 || r.link.shutdown != 0 {
		t.Errorf("closed with %v and %d FINs", got, r.link.shutdown)
	}
}

func TestAbortCutsDrainingShort(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{again}
	r.send("slow")
	wantError(t, "Close", r.session.Close(), nil)
	wantError(t, "Abort", r.session.Abort(), nil)
	if st := r.driver.Status(); st&transport.Aborted == 0 {
		t.Errorf("status %08b, want Aborted", st)
	}
	if got := r.close(); got.Reason != session.ReasonLocalClose || got.Unsent != 4 {
		t.Errorf("closed with %v: the first reason stays", got)
	}
}

func TestSendAndClose(t *testing.T) {
	r := openRig(t, &parts{message: func(s *session.Session, f session.Frame) {
		_ = s.Send([]byte("before,"))
		wantError(t, "SendAndClose", s.SendAndClose(f.Bytes(), session.ReasonProtocolError), nil)
		wantError(t, "Send", s.Send([]byte("after")), session.ErrClosed)
	}})
	r.deliver("last")
	r.wantTaken("before,last")
	if r.link.shutdown != 1 {
		t.Errorf("%d FINs, want 1", r.link.shutdown)
	}
	if got := r.close(); got.Reason != session.ReasonProtocolError {
		t.Errorf("closed with %v", got)
	}
}

// Nothing comes between the last message and the close, not even what somebody
// sends while the last message is on its way into the kernel.
func TestNothingComesAfterSendAndClose(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.during = func() {
		r.link.during = nil
		wantError(t, "Send", r.session.Send([]byte("between")), session.ErrClosed)
		wantError(t, "CloseWith", r.session.CloseWith(io.EOF), session.ErrClosed)
	}
	wantError(t, "SendAndClose", r.session.SendAndClose([]byte("last"), session.ReasonIdle), nil)
	r.wantTaken("last")
	if got := r.close(); got.Reason != session.ReasonIdle {
		t.Errorf("closed with %v", got)
	}
}

func TestSendAndCloseClosesWhenItCannotSend(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.otherwise = &again
	r.send(string(make([]byte, testCap)))
	wantError(t, "SendAndClose", r.session.SendAndClose([]byte("x"), nil), session.ErrBufferFull)
	if got := r.session.State(); got != session.Draining {
		t.Errorf("state %v, want draining", got)
	}
}

func TestCloseWithReasonOrError(t *testing.T) {
	for _, c := range []struct {
		with   error
		reason session.Reason
	}{
		{nil, session.ReasonLocalClose},
		{io.ErrUnexpectedEOF, session.ReasonLocalClose},
		{session.ReasonOverLimit, session.ReasonOverLimit},
		{errors.Join(io.EOF, session.ReasonProtocolError), session.ReasonProtocolError},
		{session.ReasonNone, session.ReasonLocalClose},
		{session.Reason(100), session.ReasonLocalClose}, // a program's own, which nobody has a counter for
	} {
		r := openRig(t, &parts{})
		_ = r.session.CloseWith(c.with)
		got := r.close()
		if got.Reason != c.reason || got.Err != c.with {
			t.Errorf("CloseWith(%v) gave %#v", c.with, got)
		}
		if c.with != nil && !errors.Is(got, c.with) {
			t.Errorf("%v is not %v", got, c.with)
		}
		if len(r.closes) != 1 || r.closes[0] != error(got) {
			t.Errorf("OnClose got %v", r.closes)
		}
	}
}

// The session ends while a sender is in the kernel: what is queued stays alive
// until that one is back, who also gives back the descriptor.
func TestCloseWhileSomebodyWrites(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.during = func() {
		r.link.during = nil
		if got := r.close(); got.Unsent != 5 || got.InWrite != 5 {
			t.Errorf("%d bytes unsent, %d in a write, want 5: those in the write count", got.Unsent, got.InWrite)
		}
		if r.link.closed {
			t.Error("the descriptor was closed under a write")
		}
		wantError(t, "Send", r.session.Send([]byte("x")), session.ErrClosed)
	}
	wantError(t, "Send", r.session.Send([]byte("hello")), nil)
	if !r.link.closed {
		t.Error("the descriptor is still open")
	}
	if len(r.closes) != 1 {
		t.Errorf("OnClose was called %d times", len(r.closes))
	}
}

func TestOnCloseOnlyAfterOnOpen(t *testing.T) {
	r := newRig(t, &parts{})
	if _, opened, _ := r.driver.Close(); opened {
		t.Error("a session that never was open counts as opened")
	}
	r.closed = true
	r.link.Release()
	if len(r.closes) != 0 {
		t.Errorf("OnClose was called with %v", r.closes)
	}
}

func TestCloseBeforeOpenNeverOpens(t *testing.T) {
	r := newRig(t, &parts{open: func(*session.Session) { t.Error("OnOpen was called") }})
	wantError(t, "Close", r.session.Close(), nil)
	if st, opened := r.driver.Open(); st&transport.Draining == 0 || opened {
		t.Errorf("status %08b, opened %v; want Draining", st, opened)
	}
}

func TestEndByTheEngine(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.otherwise = &again
	r.send("queued")
	if st := r.driver.End(session.ReasonIdle, nil, false); st&(transport.Draining|transport.Aborted) != transport.Draining {
		t.Errorf("status %08b, want Draining", st)
	}
	if st := r.driver.End(session.ReasonShutdown, nil, false); st&transport.Aborted != 0 {
		t.Errorf("status %08b: a second end must not abort", st)
	}
	if st := r.driver.End(session.ReasonShutdown, nil, true); st&transport.Aborted == 0 {
		t.Errorf("status %08b, want Aborted", st)
	}
	if got := r.close(); got.Reason != session.ReasonIdle {
		t.Errorf("closed with %v: the first reason stays", got)
	}
}

func TestBroken(t *testing.T) {
	r := openRig(t, &parts{})
	r.driver.Broken(syscall.ECONNRESET)
	got := r.close()
	if got.Reason != session.ReasonPeerReset || !errors.Is(got, syscall.ECONNRESET) || !errors.Is(got, session.ReasonPeerReset) {
		t.Errorf("closed with %v", got)
	}
}

// SendContext returns when CloseWrite has been called: there will be no room any more.
func TestCloseWriteEndsTheWaitForRoom(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.set(&again)
	must(t, r.session.Send(make([]byte, testCap-1)))
	result := make(chan error, 1)
	go func() { result <- r.session.SendContext(t.Context(), make([]byte, 100)) }()
	for r.session.Waiters() == 0 {
		runtime.Gosched()
	}
	must(t, r.session.CloseWrite())
	select {
	case err := <-result:
		wantError(t, "SendContext", err, session.ErrClosed)
	case <-time.After(10 * time.Second):
		t.Error("SendContext still waits for room")
		_ = r.session.Abort()
		<-result
	}
}

// A session that is paused with messages unread, and has read the peer's FIN, ends for what
// ends it: these are no half of a frame.
func TestPausedSessionWithFINEndsForTheRightReason(t *testing.T) {
	r := openRig(t, &parts{}, func(s *transport.Shared) { s.Pooled = true })
	r.driver.Run(r.shared)
	r.session.PauseRead()
	r.deliver("abc")
	r.driver.PeerClosed()
	r.driver.End(session.ReasonShutdown, nil, false)
	for r.driver.Run(r.shared) {
	}
	reason := r.close()
	for r.driver.Run(r.shared) {
	}
	if reason.Reason != session.ReasonShutdown || reason.Unhandled != 3 {
		t.Errorf("ended for %v, %d bytes unhandled, want a shutdown, 3", reason, reason.Unhandled)
	}
}
