package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/rate"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// limited gives the sessions of a rig limits, and a clock that the test moves.
func limited(now *time.Duration, messages, bytes rate.Limit, throttle bool) func(*transport.Shared) {
	return func(shared *transport.Shared) {
		shared.Intake = &transport.Intake{
			Messages: transport.Allowance{Limit: messages, Exceeded: &session.LimitError{Unit: "messages", PerSecond: 10, Burst: 3}},
			Bytes:    transport.Allowance{Limit: bytes, Exceeded: &session.LimitError{Unit: "bytes", PerSecond: 100, Burst: 30}},
			Throttle: throttle,
			Elapsed:  func() time.Duration { return *now },
		}
	}
}

// workIfDue runs the strand if the loop was told so.
func (r *rig) workIfDue(st transport.Status) {
	r.t.Helper()
	if st&transport.Due != 0 {
		r.work(st)
	}
}

// Too much ends the session, and the handler never sees it; what came before is
// handled, and what it answered is sent.
func TestOverLimitEndsTheSession(t *testing.T) {
	for _, c := range []struct {
		unit            string
		messages, bytes rate.Limit
	}{
		{"messages", rate.New(10, 3), rate.Limit{}},
		{"bytes", rate.Limit{}, rate.New(100, 30)},
		{"messages", rate.New(10, 3), rate.New(1000, 1000)},
	} {
		now, heard := time.Duration(0), ""
		h := &parts{message: func(s *session.Session, f session.Frame) {
			heard += string(f.Bytes())
			_ = s.Send(f.Bytes())
		}}
		r := openRig(t, h, limited(&now, c.messages, c.bytes, false))
		for _, text := range []string{"1_________", "2_________", "3_________"} {
			r.deliver(text)
		}
		if r.session.State() != session.Open || len(heard) != 30 {
			t.Fatalf("%s: %v after a burst within the limit, %q", c.unit, r.session.State(), heard)
		}
		st := r.deliver("4_________")
		if r.session.State() != session.Draining || len(heard) != 30 || st&transport.Drained == 0 {
			t.Errorf("%s: %v, status %b, after too much; heard %q", c.unit, r.session.State(), st, heard)
		}
		r.wantTaken("1_________2_________3_________")
		reason := r.close()
		var limit *session.LimitError
		if reason.Reason != session.ReasonOverLimit || !errors.As(reason, &limit) || limit.Unit != c.unit || reason.Unhandled != 10 {
			t.Errorf("%s: closed with %v", c.unit, reason)
		}
	}
}

// The same where workers run handlers: messages count when they are shown, not when
// they are received.
func TestOverLimitOnWorkers(t *testing.T) {
	now, heard := time.Duration(0), 0
	h := &parts{message: func(s *session.Session, f session.Frame) { heard++ }}
	r := newRig(t, h, pooled, limited(&now, rate.New(10, 3), rate.Limit{}, false))
	st, _ := r.driver.Open()
	r.work(st)
	for range 3 {
		r.work(r.deliver("x"))
	}
	due := r.deliver("late")
	if r.session.State() != session.Open {
		t.Fatalf("%v before the message was shown", r.session.State())
	}
	r.work(due)
	if r.session.State() != session.Draining || heard != 3 {
		t.Errorf("%v, heard %d", r.session.State(), heard)
	}
	r.closed = true
	reason, _, closing := r.driver.Close()
	r.link.Release()
	if !closing {
		t.Fatal("OnClose is not due")
	}
	r.driver.Run(r.shared)
	if reason.Reason != session.ReasonOverLimit || reason.Unhandled != 4 {
		t.Errorf("closed with %v", reason)
	}
}

// Whoever keeps to the rate is never over, and a rest gives the burst back.
func TestWithinTheLimit(t *testing.T) {
	now := time.Duration(0)
	r := openRig(t, &parts{}, limited(&now, rate.New(10, 3), rate.New(100, 30), false))
	for range 100 {
		now += 100 * time.Millisecond
		r.deliver("ten bytes!")
	}
	now += time.Second
	for range 3 {
		r.deliver("ten bytes!")
	}
	if r.session.State() != session.Open {
		t.Error("a peer that kept to its rate was closed")
	}
}

// A throttled session shows nothing more until it is time, and then goes on.
func TestThrottle(t *testing.T) {
	for name, c := range map[string]struct {
		messages, bytes rate.Limit
	}{
		"messages": {rate.New(10, 2), rate.Limit{}},
		"bytes":    {rate.Limit{}, rate.New(10, 2)},
	} {
		for mode, change := range map[string]func(*transport.Shared){"inline": func(*transport.Shared) {}, "pool": pooled} {
			now, heard := time.Duration(0), ""
			h := &parts{message: func(s *session.Session, f session.Frame) { heard += string(f.Bytes()) }}
			r := newRig(t, h, change, limited(&now, c.messages, c.bytes, true))
			st, _ := r.driver.Open()
			r.workIfDue(st)
			r.workIfDue(r.deliver("a"))
			if st := r.driver.Status(); st&transport.Throttled != 0 {
				t.Errorf("%s, %s: throttled with a token left", name, mode)
			}
			r.workIfDue(r.deliver("b"))
			if st := r.driver.Status(); st&transport.Throttled == 0 || heard != "ab" {
				t.Errorf("%s, %s: status %b, heard %q", name, mode, st, heard)
			}
			if until := r.driver.ThrottledUntil(); until != 100*time.Millisecond {
				t.Errorf("%s, %s: throttled until %v, want 100ms", name, mode, until)
			}
			r.workIfDue(r.driver.Unthrottle(100*time.Millisecond - 1))
			if st := r.driver.Status(); st&transport.Throttled == 0 {
				t.Errorf("%s, %s: goes on too early", name, mode)
			}
			tasks := 0
			if err := r.session.Post(func() { tasks++ }); err != nil {
				t.Error(err)
			}
			r.workIfDue(r.driver.Status())
			if tasks != 1 {
				t.Errorf("%s, %s: no tasks while throttled", name, mode)
			}
			now = 100 * time.Millisecond
			r.workIfDue(r.driver.Unthrottle(now))
			r.workIfDue(r.deliver("c"))
			if heard != "abc" {
				t.Errorf("%s, %s: heard %q when the time was over", name, mode, heard)
			}
			if n := r.shared.Intake.Throttled.Load(); n != 2 {
				t.Errorf("%s, %s: counted %d times", name, mode, n)
			}
		}
	}
}

// Nothing more will come: what waits is handled at once.
func TestThrottleEndsWithTheSession(t *testing.T) {
	now, heard := time.Duration(0), ""
	h := &parts{message: func(s *session.Session, f session.Frame) { heard += string(f.Bytes()) }}
	r := openRig(t, h, limited(&now, rate.New(1, 1), rate.Limit{}, true))
	r.deliver("a")
	r.deliver("b")
	r.driver.End(session.ReasonShutdown, nil, false)
	if heard != "ab" || r.session.State() != session.Draining {
		t.Errorf("heard %q, %v", heard, r.session.State())
	}
}

// Without limits nothing is kept and nobody asks for the time; with limits a session
// pays at its first message.
func TestLimitsAllocateNothingPerMessage(t *testing.T) {
	asked := 0
	shared := limited(new(time.Duration), rate.New(rate.Most, rate.Most), rate.New(rate.Most, rate.Most), false)
	r := openRig(t, &parts{}, shared, func(s *transport.Shared) {
		s.Intake.Elapsed = func() time.Duration { asked++; return 0 }
	})
	r.deliver("x")
	if n := testing.AllocsPerRun(100, func() { r.deliver("x") }); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
	if asked != 2*102 {
		t.Errorf("the time was asked for %d times", asked)
	}
}

func TestLimitErrorNamesItsLimit(t *testing.T) {
	err := &session.CloseError{
		Reason: session.ReasonOverLimit, Err: &session.LimitError{Unit: "bytes", PerSecond: 1000, Burst: 50},
	}
	if got, want := err.Error(), "session: over_limit: more than 1000 bytes per second, and 50 at once"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err.Err, session.ReasonOverLimit) || errors.Is(err.Err, session.ReasonIdle) {
		t.Error("the cause is not ReasonOverLimit")
	}
}
