package message_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weirnet/weir/session/message"
)

// The numbers and names are a promise to programs that are not compiled with ours.
func TestCodesAreStable(t *testing.T) {
	for number, want := range map[message.Code]string{
		1: "unknown", 2: "internal", 3: "malformed", 4: "invalid", 5: "unsupported", 6: "not_found", 7: "conflict", 8: "denied",
		9: "busy", 10: "unavailable", 11: "too_large", 12: "deadline", 13: "cancelled",
		0: "code 0", 14: "code 14", 1000: "code 1000", 1<<32 - 1: "code 4294967295",
	} {
		if got := number.String(); got != want {
			t.Errorf("%d is %s, want %s", uint32(number), got, want)
		}
	}
	if message.CodeUnknown != 1 || message.CodeCancelled != 13 || message.CodeOwn != 1000 {
		t.Error("a number has changed")
	}
	for kind, want := range map[message.Kind]string{
		0: "event", 1: "request", 2: "reply", 3: "error", 4: "cancel", 5: "ping", 6: "pong", 7: "invalid",
	} {
		if got := kind.String(); got != want {
			t.Errorf("kind %d is %s, want %s", kind, got, want)
		}
		if k, ok := message.KindOf(want); want != "invalid" && (k != kind || !ok) {
			t.Errorf("%s is kind %d", want, k)
		}
	}
	if _, ok := message.KindOf("nonsense"); ok {
		t.Error("nonsense is a kind")
	}
}

var errSoldOut = &message.Error{Code: message.CodeOwn + 1, Text: "sold out"}

// What errors.Is says of an error is the same at the other end.
func TestErrorsTravel(t *testing.T) {
	bad := message.Binary{}.Parse([]byte("nonsense"), new(message.Message))
	missing := second(message.New("t").Get("k"))
	for _, c := range []struct {
		err  error
		code message.Code
		is   []error
		text string
	}{
		{errSoldOut, 1001, []error{errSoldOut, message.Code(1001)}, "sold out"},
		{fmt.Errorf("selling: %w", errSoldOut), 1001, []error{errSoldOut}, "sold out"},
		{&message.Error{Code: message.CodeOwn + 1, Text: "all gone"}, 1001, []error{errSoldOut}, "all gone"},
		{message.CodeBusy, 9, []error{message.CodeBusy}, "message: busy"},
		{context.DeadlineExceeded, 12, []error{message.CodeDeadline, context.DeadlineExceeded}, "context deadline exceeded"},
		{fmt.Errorf("x: %w", context.Canceled), 13, []error{message.CodeCancelled, context.Canceled}, "x: context canceled"},
		{errors.ErrUnsupported, 5, []error{message.CodeUnsupported, errors.ErrUnsupported}, "unsupported operation"},
		{bad, 3, []error{message.CodeMalformed}, bad.Error()},
		{missing, 4, []error{message.CodeInvalid}, missing.Error()},
		{io.ErrNoProgress, 1, []error{message.CodeUnknown}, io.ErrNoProgress.Error()},
	} {
		request := message.NewRequest("buy", 7).From("a").To("b")
		p, err := message.Binary{}.Append(nil, request.Fail(c.err))
		if err != nil {
			t.Fatal(err)
		}
		answer := &message.Message{}
		if err := (message.Binary{}).Parse(p, answer); err != nil {
			t.Fatal(err)
		}
		if want := (message.Header{Kind: message.KindError, Type: "buy", Source: "b", Target: "a", Correlation: 7}); answer.Header != want {
			t.Errorf("%v: envelope %+v", c.err, answer.Header)
		}
		got := answer.Err()
		var e *message.Error
		if !errors.As(got, &e) || e.Code != c.code || e.Text != c.text {
			t.Errorf("%v became %v", c.err, got)
		}
		for _, target := range c.is {
			if !errors.Is(got, target) {
				t.Errorf("%v became %v, which is not %v", c.err, got, target)
			}
		}
		for _, target := range []error{message.CodeConflict, &message.Error{Code: 1002}, io.EOF} {
			if errors.Is(got, target) {
				t.Errorf("%v became %v, which is %v", c.err, got, target)
			}
		}
	}
}

func TestErrorMessages(t *testing.T) {
	if err := message.New("t").Err(); err != nil {
		t.Errorf("an event is %v", err)
	}
	if message.CodeOf(nil) != 0 || message.ErrorOf(nil) != nil {
		t.Error("nil has a code")
	}
	long := message.New("t").Fail(errors.New(strings.Repeat("é", 1000))).Err()
	if e := (*message.Error)(nil); !errors.As(long, &e) || e.Text != strings.Repeat("é", 512) {
		t.Errorf("a long text became %v", long)
	}
	for name, m := range map[string]*message.Message{
		"no code":       message.New("t"),
		"code 0":        message.New("t").Set("code", message.Int(0)),
		"negative code": message.New("t").Set("code", message.Int(-1)),
		"large code":    message.New("t").Set("code", message.Uint(uint64(1<<32))),
		"other type":    message.New("t").Set("code", message.String("busy")).Set("text", message.Int(1)),
		"nil":           message.New("t").Fail(nil),
	} {
		m.Kind = message.KindError
		if err := m.Err(); !errors.Is(err, message.CodeUnknown) || err.Error() != "message: unknown" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text := (&message.Error{Code: 1, Text: "a\x1b[2Jb"}).Error(); text != `message: unknown: "a\x1b[2Jb"` {
		t.Errorf("control characters: %s", text)
	}
}

func TestSwapHeader(t *testing.T) {
	for from, to := range map[message.Kind]message.Kind{
		message.KindRequest: message.KindReply, message.KindPing: message.KindPong, message.KindEvent: message.KindEvent,
		message.KindError: message.KindError,
	} {
		m := message.New("t").From("a").To("b").Set("k", message.Int(1))
		m.Kind, m.Correlation, m.Version = from, 7, 2
		want := message.Header{Kind: to, Type: "t", Source: "b", Target: "a", Correlation: 7, Version: 2}
		if r := m.Reply(); r.Header != want || r.Len() != 0 {
			t.Errorf("%v: the reply is %v", from, r)
		}
		if m.SwapHeader(); m.Header != want || m.Len() != 1 {
			t.Errorf("%v: swapped to %v", from, m)
		}
	}
}
