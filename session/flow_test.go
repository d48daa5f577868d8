package session_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Where the output goes and who is told of it: SendNotify, SendContext and
// FlowWatcher, where the loop runs the handlers and where workers do.

// flowParts is a handler that is told of the water marks.
type flowParts struct {
	parts
	calls []string
}

func (p *flowParts) OnBackpressure(*session.Session) { p.calls = append(p.calls, "full") }
func (p *flowParts) OnWritable(*session.Session)     { p.calls = append(p.calls, "writable") }

// look has the loop look at the session, and whatever is due done.
func (r *rig) look(st transport.Status) {
	if st&transport.Due != 0 && r.shared.Pooled {
		for r.driver.Run(r.shared) {
		}
	}
}

func bothWays(t *testing.T, test func(t *testing.T, change func(*transport.Shared))) {
	t.Run("inline", func(t *testing.T) { test(t, func(*transport.Shared) {}) })
	t.Run("pool", func(t *testing.T) { test(t, pooled) })
}

func TestSendNotify(t *testing.T) {
	bothWays(t, func(t *testing.T, change func(*transport.Shared)) {
		h := &parts{}
		r := newRig(t, h, change)
		wantError(t, "SendNotify before OnOpen", r.session.SendNotify([]byte("x"), nil), session.ErrNotConnected)
		st, _ := r.driver.Open()
		r.look(st)
		r.link.script = []answer{{n: 3}, again}
		var told []string
		tell := func(name string) func(error) {
			return func(err error) {
				if err != nil {
					name += " fails: " + err.Error()
				}
				told = append(told, name)
			}
		}
		wantError(t, "SendNotify", r.session.SendNotify([]byte("abc"), tell("first")), nil)
		wantError(t, "SendNotify", r.session.SendNotify([]byte("defg"), tell("second")), nil)
		wantError(t, "SendNotify of nothing", r.session.SendNotify(nil, tell("empty")), nil)
		if len(told) != 0 {
			t.Fatalf("told in the call: %v", told)
		}
		r.look(r.driver.Status())
		if !slices.Equal(told, []string{"first"}) {
			t.Fatalf("told %v while the rest is queued", told)
		}
		r.look(r.driver.Writable())
		if !slices.Equal(told, []string{"first", "second", "empty"}) {
			t.Fatalf("told %v when all has left", told)
		}
		r.link.otherwise = &again
		wantError(t, "SendNotify", r.session.SendNotify([]byte("lost"), tell("third")), nil)
		h.close = func(*session.Session, error) { told = append(told, "OnClose") }
		reason := r.close()
		for r.driver.Run(r.shared) {
		}
		want := []string{"first", "second", "empty", "third fails: " + reason.Error(), "OnClose"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		wantError(t, "SendNotify after the end", r.session.SendNotify([]byte("x"), nil), session.ErrClosed)
	})
}

func TestCompletionsAreBounded(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.otherwise = &again
	taken := 0
	for ; ; taken++ {
		err := r.session.SendNotify(nil, func(error) {})
		if errors.Is(err, session.ErrMailboxFull) {
			break
		}
		wantError(t, "SendNotify", err, nil)
		if taken == 0 {
			r.send("stuck") // nothing is told any more
		}
		if taken > testCap {
			t.Fatal("no bound")
		}
	}
	if taken == 0 {
		t.Error("none was taken")
	}
}

func TestFlowWatcherAlternates(t *testing.T) {
	bothWays(t, func(t *testing.T, change func(*transport.Shared)) {
		h := &flowParts{}
		r := newRig(t, h, change)
		st, _ := r.driver.Open()
		r.look(st)
		r.link.otherwise = &again
		for range 2 {
			h.calls = nil
			r.send(strings.Repeat("x", testHigh))
			r.look(r.driver.Status())
			r.look(r.driver.Status())
			if !slices.Equal(h.calls, []string{"full"}) {
				t.Fatalf("above high water: %v", h.calls)
			}
			r.link.script = []answer{{n: testHigh - testLow - 1}, again}
			r.look(r.driver.Writable())
			if len(h.calls) != 1 {
				t.Fatalf("between the marks: %v", h.calls)
			}
			r.link.script = []answer{{n: 1}, again}
			r.look(r.driver.Writable())
			if !slices.Equal(h.calls, []string{"full", "writable"}) {
				t.Fatalf("at low water: %v", h.calls)
			}
			r.link.script = []answer{{n: testLow}}
			r.look(r.driver.Writable())
		}
		r.close()
		for r.driver.Run(r.shared) {
		}
	})
}

func TestSendContext(t *testing.T) {
	fill := func(t *testing.T) *rig {
		r := openRig(t, &parts{})
		r.link.otherwise = &again
		r.send(strings.Repeat("x", testCap))
		return r
	}
	// send starts a SendContext and waits until it waits.
	send := func(ctx context.Context, r *rig, p string) chan error {
		result := make(chan error, 1)
		before := r.session.Waiters()
		go func() { result <- r.session.SendContext(ctx, []byte(p)) }()
		for r.session.Waiters() == before {
			if len(result) > 0 {
				r.t.Fatalf("SendContext returned %v at once", <-result)
			}
		}
		return result
	}
	t.Run("in turn", func(t *testing.T) {
		r := fill(t)
		first := send(t.Context(), r, "first")
		second := send(t.Context(), r, "second")
		r.link.otherwise = nil
		r.driver.Writable()
		wantError(t, "first", <-first, nil)
		wantError(t, "second", <-second, nil)
		r.wantTaken(strings.Repeat("x", testCap) + "firstsecond")
	})
	t.Run("context ends", func(t *testing.T) {
		r := fill(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := send(ctx, r, "gone")
		next := send(t.Context(), r, "next")
		why := errors.New("enough")
		cancel(why)
		wantError(t, "SendContext", <-gone, why)
		r.link.otherwise = nil
		r.driver.Writable()
		wantError(t, "the one behind", <-next, nil)
		r.wantTaken(strings.Repeat("x", testCap) + "next")
	})
	t.Run("session ends", func(t *testing.T) {
		r := fill(t)
		results := []chan error{send(t.Context(), r, "a"), send(t.Context(), r, "b")}
		wantError(t, "Close", r.session.Close(), nil)
		for _, result := range results {
			wantError(t, "SendContext", <-result, session.ErrClosed)
		}
	})
	t.Run("session is gone", func(t *testing.T) {
		r := fill(t)
		result := send(t.Context(), r, "a")
		r.close()
		wantError(t, "SendContext", <-result, session.ErrClosed)
	})
	t.Run("a write fails", func(t *testing.T) { // and a handler that waits keeps the session from ending
		r := fill(t)
		results := []chan error{send(t.Context(), r, "a"), send(t.Context(), r, "b")}
		r.link.otherwise = &answer{errno: syscall.ECONNRESET}
		r.driver.Writable()
		for _, result := range results {
			select {
			case err := <-result:
				wantError(t, "SendContext", err, session.ErrClosed)
			case <-time.After(10 * time.Second):
				t.Fatal("SendContext waits for room that will never be")
			}
		}
	})
	t.Run("on a loop", func(t *testing.T) {
		r := fill(t)
		r.link.onLoop = true
		wantError(t, "SendContext", r.session.SendContext(t.Context(), make([]byte, 1)), session.ErrDeadlock)
	})
	t.Run("more than the engine may queue", func(t *testing.T) {
		r := openRig(t, &parts{}, func(sh *transport.Shared) { sh.QueuedCap = 5 })
		wantError(t, "SendContext", r.session.SendContext(t.Context(), make([]byte, 6)), session.ErrBufferFull)
	})
}

// A handler that waits for room must not hold back what it has sent: with small
// water marks it is less than a corked session gathers, and nobody else writes it.
func TestHandlerThatWaitsIsNotCorked(t *testing.T) {
	var r *rig
	result := make(chan error, 1)
	waiting := make(chan struct{})
	r = newRig(t, &parts{message: func(s *session.Session, _ session.Frame) {
		_ = s.Send(make([]byte, testCap))
		close(waiting)
		result <- s.SendContext(t.Context(), make([]byte, testHigh))
	}}, pooled)
	st, _ := r.driver.Open()
	r.look(st)
	r.link.otherwise = &again
	st = r.deliver("x")
	worker := make(chan struct{})
	go func() {
		defer close(worker)
		r.look(st)
	}()
	<-waiting
	for r.session.Waiters() == 0 {
		if len(result) > 0 {
			t.Fatalf("SendContext returned %v at once", <-result)
		}
	}
	r.link.set(nil)
	r.driver.Writable()
	wantError(t, "SendContext", <-result, nil)
	<-worker
	r.close()
	for r.driver.Run(r.shared) {
	}
	if n := len(r.link.taken()); n != testCap+testHigh {
		t.Errorf("the kernel took %d bytes, want %d", n, testCap+testHigh)
	}
}

// What the kernel did not take of a handler's output leaves when there is room, even
// if the handler has not returned.
func TestRoomIsUsedWhileAHandlerRuns(t *testing.T) {
	r := newRig(t, &parts{}, pooled)
	st, _ := r.driver.Open()
	r.look(st)
	const written, rest = 70 << 10, 1 << 10
	r.link.script = []answer{{n: written - rest}, again}
	taken := ""
	r.session.SetHandler(session.HandlerFunc(func(s *session.Session, _ session.Frame) {
		r.send(strings.Repeat("x", written)) // more than gathers
		r.driver.Writable()                  // as the loop does meanwhile
		taken = r.link.taken()
	}))
	r.look(r.deliver("x"))
	if len(taken) != written {
		t.Errorf("the kernel was given %d bytes before the handler returned, want %d", len(taken), written)
	}
	r.close()
	for r.driver.Run(r.shared) {
	}
}

func TestKeepReading(t *testing.T) {
	var got []string
	r := newRig(t, &parts{message: func(_ *session.Session, f session.Frame) { got = append(got, string(f.Bytes())) }}, pooled)
	st, _ := r.driver.Open()
	r.look(st)
	r.link.otherwise = &again
	r.send(strings.Repeat("x", testHigh))
	r.wantStatus(transport.Paused | transport.Blocked)
	r.look(r.deliver("a"))
	if len(got) != 0 {
		t.Fatalf("got %q above high water", got)
	}
	r.link.attended()
	r.session.KeepReading(true)
	r.wantAttended(true)
	r.look(r.driver.Status())
	r.look(r.deliver("b"))
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("got %q, want both messages", got)
	}
	r.session.PauseRead()
	r.wantStatus(transport.Paused | transport.Blocked)
	r.session.ResumeRead()
	r.wantStatus(transport.Blocked)
	r.session.KeepReading(false)
	r.wantStatus(transport.Paused | transport.Blocked)
}
