package engine_test

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// What handlers and others can do to a session while it is open.

func pauseAndResume(t *testing.T, s setting) {
	const total = 2 << 20
	var got int // the handler's until everything has come
	all := make(chan int, 1)
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		if got == 0 {
			s.PauseRead()
		}
		if got += f.Len(); got == total {
			all <- got
		}
	}
	v := s.serve(t, p)
	c, opened := v.open()
	go func() { _, _ = c.Write(make([]byte, total)) }() // the handler sees what is missing

	until(t, "first message", func() bool { return opened.Stats().MessagesIn > 0 })
	letTurnsPass(t, opened)
	before := opened.Stats().BytesIn
	letTurnsPass(t, opened)
	if now := opened.Stats().BytesIn; now != before || now == total {
		t.Errorf("%d bytes came before and %d after a pause had begun", before, now-before)
	}
	opened.ResumeRead()
	await(t, "the rest", all)
}

// letTurnsPass returns when the session's loop has gone round several times.
func letTurnsPass(t *testing.T, s *session.Session) {
	t.Helper()
	for range 20 {
		done := make(chan struct{})
		must(t, s.Post(func() { close(done) }))
		await(t, "task", done)
	}
}

func postRunsOnLoop(t *testing.T, s setting) {
	const mailbox = 4
	var inside atomic.Int32 // handlers and tasks of the session that run now
	alone := func() {
		if inside.Add(1) != 1 {
			t.Error("a task and a handler of one session overlap")
		}
		inside.Add(-1)
	}
	blocked, release := make(chan struct{}), make(chan struct{})
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		alone()
		if string(f.Bytes()) == "block" {
			close(blocked)
			<-release
		}
		check(t, s.Send(f.Bytes()))
	}
	v := s.serve(t, p, engine.WithMailbox(mailbox))
	c, opened := v.open()
	for range 100 {
		done := make(chan struct{})
		must(t, opened.Post(func() { alone(); close(done) }))
		mustEcho(t, c, "x")
		await(t, "task", done)
	}

	_, err := io.WriteString(c, "block")
	must(t, err)
	await(t, "the loop is held up", blocked)
	order := make(chan int, mailbox)
	for i := range mailbox {
		must(t, opened.Post(func() { order <- i }))
	}
	if err := opened.Post(func() {}); !errors.Is(err, session.ErrMailboxFull) {
		t.Errorf("Post to a full mailbox: %v, want ErrMailboxFull", err)
	}
	close(release)
	mustRead(t, c, "block")
	for i := range mailbox {
		if got := await(t, "task", order); got != i {
			t.Errorf("task %d ran as number %d", got, i)
		}
	}
}

func handlersSwapped(t *testing.T, s setting) {
	second := newProbe()
	second.onMessage = func(s *session.Session, f session.Frame) {
		check(t, s.Send(append([]byte("second "), f.Bytes()...)))
	}
	first := newProbe()
	first.onMessage = func(s *session.Session, f session.Frame) {
		second.enter(s, "SetHandler", func(l *life) string { l.open = true; return "" })
		second.leave(s)
		s.SetHandler(second)
		check(t, s.Send(append([]byte("first "), f.Bytes()...)))
	}
	v := s.serve(t, first)
	v.probe = nil // no single probe sees it all
	c := v.dial()
	_, err := io.WriteString(c, "x")
	must(t, err)
	mustRead(t, c, "first x")
	_, err = io.WriteString(c, "x")
	must(t, err)
	mustRead(t, c, "second x")
	c.Close()
	if got := await(t, "OnClose", second.closed); got.reason.Reason != session.ReasonPeerClosed {
		t.Errorf("closed because of %v, want %v", got.reason, session.ReasonPeerClosed)
	}
	if len(first.closed) != 0 {
		t.Error("the handler that was replaced is told of the close")
	}
}

func halfOpenSessions(t *testing.T, s setting) {
	data := patternBytes(1, 1<<20)
	p := newProbe()
	p.onPeerClose = func(s *session.Session) {
		check(t, s.Send(data[:100]))
		go func() { // the session stays open until somebody closes it
			check(t, s.Send(data[100:]))
			check(t, s.Close())
		}()
	}
	v := s.serve(t, p, engine.WithHalfOpen())
	c := v.dial()
	_, err := io.WriteString(c, "hello")
	must(t, err)
	must(t, c.CloseWrite())
	mustRead(t, c, "hello")
	got, err := io.ReadAll(c)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("the peer got %d bytes of %d, or others", len(got), len(data))
	}
	v.awaitClose(session.ReasonLocalClose)
}

// framesKept keeps frames beyond OnMessage: large ones by reference, small ones
// by copy. Neither may change when more arrives.
func framesKept(t *testing.T, s setting) {
	data := patternBytes(1, 1<<20)
	frames := make(chan session.Frame, len(data))
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) { frames <- f.Retain() }
	v := s.serve(t, p)
	c := v.dial()
	for at, size := 0, 1; at < len(data); size = size*3 + 1 {
		n := min(size, len(data)-at)
		_, err := c.Write(data[at : at+n])
		must(t, err)
		at += n
	}
	must(t, c.CloseWrite())
	v.awaitClose(session.ReasonPeerClosed)
	close(frames)
	var got []byte
	for f := range frames {
		got = append(got, f.Bytes()...)
		f.Release()
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d were kept, or others", len(got), len(data))
	}
}
