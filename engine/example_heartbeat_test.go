package engine_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// polite is one end of a protocol of lines. It asks "ping" and the time, when it has heard
// nothing for a while, and answers such a question with "pong" and the same time: so nobody
// has to remember when he asked what.
type polite struct{ answered chan *session.Session }

func (p polite) OnPing(s *session.Session) {
	_ = s.Send(fmt.Append(nil, "ping ", time.Now().UnixNano())) // if not, nothing comes back
}

func (p polite) OnMessage(s *session.Session, f session.Frame) {
	word, at, _ := strings.Cut(string(f.Bytes()), " ")
	switch word {
	case "ping":
		_ = s.Send([]byte("pong " + at)) // likewise
	case "pong":
		var nanoseconds int64
		if _, err := fmt.Sscan(at, &nanoseconds); err != nil {
			_ = s.CloseWith(session.ReasonProtocolError) // ErrClosed: it is ending already
			return
		}
		s.SetRTT(time.Since(time.Unix(0, nanoseconds)))
		select {
		case p.answered <- s:
		default:
		}
	}
}

// A client asks its server whether it is still there, and how long that takes. If the server
// did not answer for fifty intervals the session would close for session.ReasonHeartbeat.
func ExampleWithHeartbeat() {
	e, err := engine.New(engine.WithHeartbeat(20*time.Millisecond, 50))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	answers := session.HandlerFunc(polite{}.OnMessage) // without OnPing: it never asks
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(answers, frame.Lines()))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := polite{make(chan *session.Session, 1)}
	_, err = e.Dial(context.Background(), "tcp", l.Addr().String(), session.Framed(client, frame.Lines()))
	if err != nil {
		fmt.Println(err)
		return
	}
	s := <-client.answered
	fmt.Println("the server is there:", s.Stats().RTT > 0)
	// Output:
	// the server is there: true
}

// A client of an echo server, on the same engine. Dial returns when Send works, or the error
// of package net.
func ExampleEngine_Dial() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
	l, err := e.Listen("tcp", "127.0.0.1:0", echo)
	if err != nil {
		fmt.Println(err)
		return
	}

	heard := make(chan string)
	s, err := e.Dial(context.Background(), "tcp", l.Addr().String(),
		session.HandlerFunc(func(_ *session.Session, f session.Frame) { heard <- string(f.Bytes()) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Send([]byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-heard)
	// Output:
	// hello
}
