package session_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

func TestPanicInEachPart(t *testing.T) {
	boom := errors.New("boom\x1b[2J")
	for name, h := range map[string]*parts{
		"OnOpen":      {open: func(*session.Session) { panic(boom) }},
		"OnMessage":   {message: func(*session.Session, session.Frame) { panic(boom) }},
		"OnPeerClose": {peerClose: func(*session.Session) { panic(boom) }},
		"OnClose":     {close: func(*session.Session, error) { panic(boom) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, h, func(s *transport.Shared) { s.HalfOpen = true })
			r.driver.Open()
			r.deliver("x")
			if name == "OnPeerClose" || name == "OnClose" {
				r.driver.PeerClosed()
			}
			st := r.driver.Status()
			if got := st&transport.Draining != 0; got != (name != "OnClose") {
				t.Errorf("draining: %v", got)
			}
			reason := r.close()
			if len(r.panics) != 1 || r.panics[0] != any(boom) {
				t.Errorf("panics reported: %v", r.panics)
			}
			if len(r.closes) != 1 {
				t.Errorf("OnClose was called %d times", len(r.closes))
			}
			if name == "OnClose" {
				return
			}
			var panicked *session.PanicError
			if reason.Reason != session.ReasonHandlerPanic || !errors.As(reason, &panicked) || !errors.Is(reason, boom) {
				t.Errorf("closed with %v", reason)
			}
			if strings.Contains(reason.Error(), "\x1b") {
				t.Errorf("a control byte in %q", reason.Error())
			}
		})
	}
}

func TestWhatWasSentBeforeThePanicIsWritten(t *testing.T) {
	r := openRig(t, &parts{message: func(s *session.Session, f session.Frame) {
		_ = s.Send(f.Bytes())
		panic(1)
	}})
	r.deliver("echo")
	r.wantTaken("echo")
	if r.segment.Shared() {
		t.Error("the segment is still shared")
	}
}

func TestCrashLetsThePanicThrough(t *testing.T) {
	r := openRig(t, &parts{message: func(*session.Session, session.Frame) { panic("through") }},
		func(s *transport.Shared) { s.Crash = true })
	defer func() {
		if got := recover(); got != "through" {
			t.Errorf("recovered %v", got)
		}
		if len(r.panics) != 0 {
			t.Errorf("reported %v", r.panics)
		}
	}()
	r.deliver("x")
	t.Error("the panic did not come through")
}

func TestPeerClosed(t *testing.T) {
	halfOpen := func(s *transport.Shared) { s.HalfOpen = true }
	t.Run("drains without the option", func(t *testing.T) {
		r := openRig(t, &parts{peerClose: func(*session.Session) { t.Error("OnPeerClose was called") }})
		if st := r.driver.PeerClosed(); st != transport.Draining|transport.Drained {
			t.Errorf("status %08b", st)
		}
	})
	t.Run("drains without the part", func(t *testing.T) {
		r := openRig(t, session.HandlerFunc(func(*session.Session, session.Frame) {}), halfOpen)
		if st := r.driver.PeerClosed(); st != transport.Draining|transport.Drained {
			t.Errorf("status %08b", st)
		}
	})
	t.Run("stays open with both", func(t *testing.T) {
		called := 0
		r := openRig(t, &parts{peerClose: func(*session.Session) { called++ }}, halfOpen)
		if st := r.driver.PeerClosed(); st != 0 {
			t.Errorf("status %08b", st)
		}
		r.send("more")
		r.wantTaken("more")
		wantError(t, "CloseWrite", r.session.CloseWrite(), nil)
		r.wantStatus(transport.Draining | transport.Drained)
		if got := r.close(); got.Reason != session.ReasonPeerClosed || called != 1 {
			t.Errorf("closed with %v, OnPeerClose called %d times", got, called)
		}
	})
	t.Run("drains after CloseWrite", func(t *testing.T) {
		r := openRig(t, &parts{peerClose: func(*session.Session) { t.Error("OnPeerClose was called") }}, halfOpen)
		_ = r.session.CloseWrite()
		if st := r.driver.PeerClosed(); st != transport.Draining|transport.Drained {
			t.Errorf("status %08b", st)
		}
	})
	t.Run("changes nothing when draining", func(t *testing.T) {
		r := openRig(t, &parts{}, halfOpen)
		_ = r.session.Close()
		r.driver.PeerClosed()
		if got := r.close(); got.Reason != session.ReasonLocalClose {
			t.Errorf("closed with %v", got)
		}
	})
}

func TestSetHandlerActsFromTheNextMessage(t *testing.T) {
	var log []string
	second := &parts{
		message: func(_ *session.Session, f session.Frame) { log = append(log, "second "+string(f.Bytes())) },
		close:   func(*session.Session, error) { log = append(log, "second closed") },
	}
	r := openRig(t, &parts{
		message: func(s *session.Session, f session.Frame) {
			s.SetHandler(second)
			log = append(log, "first "+string(f.Bytes()))
		},
		close: func(*session.Session, error) { log = append(log, "first closed") },
	})
	r.deliver("a")
	r.deliver("b")
	r.close()
	if want := []string{"first a", "second b", "second closed"}; !slices.Equal(log, want) {
		t.Errorf("got %q, want %q", log, want)
	}
}

func TestHandlerWithoutParts(t *testing.T) {
	r := openRig(t, session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) }))
	r.deliver("echo")
	r.wantTaken("echo")
}

func TestValue(t *testing.T) {
	r := openRig(t, &parts{})
	if got := r.session.Value(); got != nil {
		t.Errorf("value %v before SetValue", got)
	}
	r.session.SetValue(12)
	r.close()
	if got := r.session.Value(); got != 12 {
		t.Errorf("value %v, want 12, also after the end", got)
	}
}

func TestContext(t *testing.T) {
	r := openRig(t, &parts{})
	ctx := r.session.Context()
	if ctx.Err() != nil || r.session.Context() != ctx {
		t.Error("not one live context")
	}
	child, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = r.session.CloseWith(session.ReasonOverLimit)
	if ctx.Err() != nil {
		t.Error("cancelled while draining")
	}
	reason := r.close()
	<-child.Done()
	if got := context.Cause(ctx); got != error(reason) {
		t.Errorf("cause %v, want %v", got, reason)
	}
	if !errors.Is(context.Cause(child), session.ReasonOverLimit) {
		t.Errorf("cause %v of a child", context.Cause(child))
	}
}

func TestContextOfAClosedSession(t *testing.T) {
	r := openRig(t, &parts{})
	reason := r.close()
	if got := context.Cause(r.session.Context()); got != error(reason) {
		t.Errorf("cause %v, want %v", got, reason)
	}
}

func TestStats(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.script = []answer{{n: 2}, again}
	r.deliver("abc")
	r.deliver("de")
	r.send("hello")
	want := session.Stats{
		Opened: time.Unix(100, 0), BytesIn: 5, MessagesIn: 2, BytesOut: 2, MessagesOut: 1, Queued: 3,
	}
	if got := r.session.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	r.close()
	want.Queued = 0
	if got := r.session.Stats(); got != want {
		t.Errorf("after the end: got %+v, want %+v", got, want)
	}
}

func TestIdentity(t *testing.T) {
	r := openRig(t, &parts{})
	if r.session.ID() != 7 || r.session.RemoteAddr().String() != testPeer.String() {
		t.Errorf("session %d of %v", r.session.ID(), r.session.RemoteAddr())
	}
	local := session.New(8, r.link, netip.AddrPort{}, time.Now(), session.NewBehaviour(&parts{}))
	if _, ok := local.RemoteAddr().(*net.UnixAddr); !ok {
		t.Errorf("remote address %T of a unix socket", local.RemoteAddr())
	}
}

func TestPauseRead(t *testing.T) {
	r := openRig(t, &parts{})
	r.session.PauseRead()
	r.wantAttended(true)
	r.wantStatus(transport.Paused)
	r.session.PauseRead()
	r.wantAttended(false)
	r.session.ResumeRead()
	r.wantAttended(true)
	r.wantStatus(0)
}

func TestPauseInHandlerNeedsNoAttend(t *testing.T) {
	r := openRig(t, &parts{message: func(s *session.Session, _ session.Frame) { s.PauseRead() }})
	if st := r.deliver("x"); st != transport.Paused {
		t.Errorf("status %08b, want Paused", st)
	}
	r.wantAttended(false)
}

func TestResumeAboveHighWaterStaysPaused(t *testing.T) {
	r := openRig(t, &parts{})
	r.link.otherwise = &again
	r.session.PauseRead()
	r.send(string(make([]byte, testHigh)))
	r.session.ResumeRead()
	if st := r.driver.Status(); st&transport.Paused == 0 {
		t.Errorf("status %08b, want Paused", st)
	}
}

func TestPost(t *testing.T) {
	r := openRig(t, &parts{})
	ran := 0
	for range 3 {
		wantError(t, "Post", r.session.Post(func() { ran++ }), nil)
	}
	wantError(t, "Post", r.session.Post(func() {}), session.ErrMailboxFull)
	if ran != 0 {
		t.Error("a task ran in Post")
	}
	r.wantAttended(true)
	r.wantStatus(0)
	if ran != 3 {
		t.Errorf("%d tasks ran, want 3", ran)
	}
	wantError(t, "Post", r.session.Post(func() { ran++ }), nil)
	r.close()
	if ran != 4 || len(r.closes) != 1 {
		t.Errorf("after the end %d tasks have run and OnClose was called %d times", ran, len(r.closes))
	}
}

func TestFrame(t *testing.T) {
	const size = 4096 // of the segment that a rig delivers from
	for name, c := range map[string]struct {
		message string
		pinned  bool
	}{
		"a small one is copied": {strings.Repeat("s", size/4-1), false},
		"a large one is pinned": {strings.Repeat("l", size/4), true},
	} {
		t.Run(name, func(t *testing.T) {
			var kept session.Frame
			r := openRig(t, &parts{message: func(_ *session.Session, f session.Frame) {
				if f.Len() != len(c.message) || cap(f.Bytes()) != f.Len() {
					t.Errorf("frame of %d bytes with room for %d", f.Len(), cap(f.Bytes()))
				}
				kept = f.Retain()
			}})
			r.deliver(c.message)
			if r.segment.Shared() != c.pinned {
				t.Errorf("the segment is shared: %v", r.segment.Shared())
			}
			if !c.pinned {
				copy(r.segment.Bytes(), "overwritten")
			}
			if string(kept.Bytes()) != c.message || cap(kept.Bytes()) != kept.Len() {
				t.Errorf("kept %q", brief(string(kept.Bytes())))
			}
			again := kept.Retain()
			kept.Release()
			if string(again.Bytes()) != c.message {
				t.Errorf("kept again %q", brief(string(again.Bytes())))
			}
			again.Release()
			if r.segment.Shared() {
				t.Error("the segment is still shared")
			}
		})
	}
}

// The loop has the status of what happened in its handlers from their return, so
// nothing is told twice.
func TestHandlersNeedNoAttend(t *testing.T) {
	r := openRig(t, &parts{message: func(s *session.Session, f session.Frame) {
		_ = s.Send(f.Bytes())
		s.PauseRead()
		_ = s.CloseWrite()
		_ = s.Close()
		_ = s.Abort()
	}})
	r.deliver("x")
	r.wantAttended(false)
}
