package session_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/weirnet/weir/session"
)

// Logs, counters and peers know reasons by these numbers and names.
func TestReasonsAreStable(t *testing.T) {
	want := []string{
		"none", "peer_closed", "peer_reset", "local_close", "aborted", "idle", "first_message", "lifetime",
		"slow_consumer", "protocol_error", "over_limit", "handler_panic", "shutdown", "io_error", "overload", "frame_timeout", "heartbeat",
		"memory",
	}
	if session.Reasons != len(want) {
		t.Fatalf("%d reasons, want %d", session.Reasons, len(want))
	}
	for i, name := range want {
		if got := session.Reason(i).String(); got != name {
			t.Errorf("reason %d is %q, want %q", i, got, name)
		}
		if got := session.Reason(i).Error(); got != "session: "+name {
			t.Errorf("reason %d reads %q", i, got)
		}
	}
	if got := session.Reason(200).String(); got != "invalid" {
		t.Errorf("an unknown reason is %q", got)
	}
}

func TestStatesHaveNames(t *testing.T) {
	for state, want := range map[session.State]string{
		session.Connecting: "connecting", session.Open: "open", session.Draining: "draining",
		session.Closed: "closed", 99: "invalid",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d is %q, want %q", state, got, want)
		}
	}
}

func TestCloseError(t *testing.T) {
	for _, c := range []struct {
		err  *session.CloseError
		text string
		is   []error
		not  []error
	}{
		{
			&session.CloseError{Reason: session.ReasonPeerClosed}, "session: peer_closed",
			[]error{session.ReasonPeerClosed, net.ErrClosed, session.ErrClosed},
			[]error{session.ReasonIdle, io.EOF},
		}, {
			&session.CloseError{Reason: session.ReasonPeerReset, Err: syscall.ECONNRESET, Unsent: 3},
			"session: peer_reset: connection reset by peer (3 bytes unsent)",
			[]error{session.ReasonPeerReset, syscall.ECONNRESET, net.ErrClosed},
			[]error{session.ReasonIOError},
		}, {
			&session.CloseError{Reason: session.ReasonOverLimit, Err: session.ReasonOverLimit}, "session: over_limit",
			[]error{session.ReasonOverLimit},
			nil,
		}, {
			&session.CloseError{Reason: session.ReasonHandlerPanic, Err: &session.PanicError{Value: "a\nb"}},
			`session: handler_panic: panic: "a\nb"`,
			[]error{session.ReasonHandlerPanic},
			[]error{io.EOF},
		},
	} {
		if got := c.err.Error(); got != c.text {
			t.Errorf("reads %q, want %q", got, c.text)
		}
		for _, target := range c.is {
			if !errors.Is(c.err, target) {
				t.Errorf("%v is not %v", c.err, target)
			}
		}
		for _, target := range c.not {
			if errors.Is(c.err, target) {
				t.Errorf("%v is %v", c.err, target)
			}
		}
	}
}

func TestPanicErrorUnwrapsErrors(t *testing.T) {
	if !errors.Is(&session.PanicError{Value: io.EOF}, io.EOF) {
		t.Error("a panic with an error is not that error")
	}
	if errors.Unwrap(&session.PanicError{Value: 3}) != nil {
		t.Error("a panic with a number unwraps to something")
	}
}
