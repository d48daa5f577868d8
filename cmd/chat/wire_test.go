package main

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// TestEveryLineFits: whatever keeps the other limits is a line, even if it is made of the
// characters that JSON writes with the most bytes.
func TestEveryLineFits(t *testing.T) {
	lines, err := codec()
	if err != nil {
		t.Fatal(err)
	}
	fits := func(what any) {
		t.Helper()
		if _, err := lines.Head(nil, line(what)); err != nil {
			t.Errorf("%.80s…: %v", line(what), err)
		}
	}
	full := func(part string, size int) string { return strings.Repeat(part, size/len(part)) }
	name := full("x", nameMax)
	for _, part := range []string{"\x00", "\x1f", "\n", "<", "&", `"`, `\`, "\x7f", "\u2028", "\ufffd", "\U0010ffff"} {
		for _, q := range []request{
			{Do: "join", Room: name, Name: name, Key: full(part, keyMax), Life: full(part, lifeMax), Seen: math.MaxInt},
			{Do: "say", N: math.MaxInt, Text: full(part, textMax)},
		} {
			if err := q.check(); err != nil {
				t.Errorf("%q: %v", part, err)
			}
			fits(q)
		}
		fits(event{Is: "said", Seq: math.MaxInt, From: name, Key: full(part, keyMax), N: math.MaxInt, Text: full(part, textMax)})
		fits(event{Is: "joined", Room: name, Life: full(part, lifeMax), Names: strings.Fields(full(name+" ", namesMax*(nameMax+1))), More: math.MaxInt})
		fits(failure(errors.New(full(part, 1<<20))))
	}
	q := request{Do: "say", N: 1, Text: "\xff"}
	if err := q.check(); !errors.Is(err, errText) {
		t.Errorf("bytes that are no UTF-8: %v", err)
	}
}

// TestLongNonsenseIsAnswered: the error is told, however long what it quotes is.
func TestLongNonsenseIsAnswered(t *testing.T) {
	addr := address(t)
	start(t, addr, store{keep: 10})
	fill := func(before, part, after string) string {
		return before + strings.Repeat(part, lineMax-len(before)-len(after)) + after
	}
	for _, text := range []string{
		fill(`{"do":"say","n":`, "1", "}"),
		fill(`{"do":"`, "<", `"}`),
		fill(`{"do":"join","room":"`, "<", `","name":"x","key":"k"}`),
		fill(`{"do":"join","room":"r","name":"`, "<", `","key":"k"}`),
		fill(`{"do":"join","room":"r","name":"x","key":"`, "<", `"}`),
		fill(`{"do":"join","room":"r","name":"x","key":"k","life":"`, "<", `"}`),
	} {
		p := dial(t, addr)
		p.send(text)
		if e := p.next(); e == nil || e.Is != "error" || e.Text == "" || len(e.Text) > errorMax {
			t.Errorf("%.60s…: %v, want an error, %v", text, e, p.in.Err())
		}
	}
	if e := failure(errors.New(strings.Repeat("ü", errorMax) + "x")); e.Text != strings.Repeat("ü", errorMax/2) {
		t.Errorf("cut to %q", e.Text)
	}
	if e := failure(errors.New("x" + strings.Repeat("ü", errorMax))); e.Text != "x"+strings.Repeat("ü", errorMax/2-1) {
		t.Errorf("cut to %q", e.Text)
	}
}

// TestSendNeverLosesSilently: what cannot be sent ends the session, with the reason.
func TestSendNeverLosesSilently(t *testing.T) {
	lines, err := codec()
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	closed := make(chan error, 1)
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(talker(closed), lines))
	if err != nil {
		t.Fatal(err)
	}
	p := dial(t, l.Addr().String())
	if e := p.next(); e == nil || e.Is != "names" {
		t.Errorf("got %v, want what was sent before", e)
	}
	if e := p.next(); e != nil {
		t.Errorf("got %v, want the end", e)
	}
	p.conn.Close()
	var why *frame.Error
	if err := <-closed; !errors.As(err, &why) || why.Err != frame.ErrTooLarge {
		t.Errorf("the session ended with %v", err)
	}
}

// talker sends something, and what does not fit into a line.
type talker chan error

func (talker) OnOpen(s *session.Session) {
	send(s, event{Is: "names"})
	send(s, event{Is: "said", Text: strings.Repeat("x", lineMax)})
}
func (talker) OnMessage(*session.Session, session.Frame)  {}
func (c talker) OnClose(_ *session.Session, reason error) { c <- reason }
