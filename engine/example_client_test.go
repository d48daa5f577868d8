package engine_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// Connect, then send, or else try again: each step returns an error, and what the error
// is decides what to do. From then on the client comes back by itself.
func ExampleClient() {
	address := lastingPort("127.0.0.1") // where nobody listens yet
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	answers := make(chan string)
	lines := session.Framed(session.HandlerFunc(func(_ *session.Session, f session.Frame) {
		answers <- string(f.Bytes())
	}), frame.Lines())
	c, err := e.NewClient("tcp", address, lines)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	connectAndSend := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Connect(ctx); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		if err := c.Send([]byte("hello")); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		return nil
	}
	err = connectAndSend()
	if errors.Is(err, syscall.ECONNREFUSED) {
		fmt.Println("nobody is there yet")
		echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
		if _, err := e.Listen("tcp", address, session.Framed(echo, frame.Lines())); err != nil {
			fmt.Println(err)
			return
		}
		err = connectAndSend()
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-answers)
	// Output:
	// nobody is there yet
	// hello
}

// What is sent while nobody is there waits; it goes out when somebody is, after what
// OnConnect sends. A completion tells what has become of a message.
func ExampleClient_Start() {
	address := lastingPort("127.0.0.1") // where nobody listens yet
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	ignore := session.HandlerFunc(func(*session.Session, session.Frame) {})
	c, err := e.NewClient("tcp", address, session.Framed(ignore, frame.Lines()),
		engine.WithBackoff(10*time.Millisecond, time.Second),
		engine.OnConnect(func(_ *engine.Client, s *session.Session) { _ = s.Send([]byte("hello, I am client 7")) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	c.Start()
	sent := make(chan error)
	for i := range 3 {
		text := fmt.Append(nil, "measurement ", i)
		if err := c.SendNotify(text, func(err error) { sent <- err }); err != nil {
			fmt.Println(err)
			return
		}
	}

	arrived := make(chan string, 4)
	receive := session.HandlerFunc(func(_ *session.Session, f session.Frame) { arrived <- string(f.Bytes()) })
	if _, err := e.Listen("tcp", address, session.Framed(receive, frame.Lines())); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-sent, <-sent, <-sent)
	for range 4 {
		fmt.Println(<-arrived)
	}
	// Output:
	// <nil> <nil> <nil>
	// hello, I am client 7
	// measurement 0
	// measurement 1
	// measurement 2
}

// What had not been sent when a client ends is reported, once.
func ExampleDisconnectError() {
	address := lastingPort("127.0.0.1") // where nobody listens yet
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	ignore := session.HandlerFunc(func(*session.Session, session.Frame) {})
	c, err := e.NewClient("tcp", address, ignore, engine.OnDisconnect(func(_ *engine.Client, err error) {
		var why *engine.DisconnectError
		if errors.As(err, &why) {
			fmt.Println(why.Messages, "messages were not sent,", why.Bytes, "bytes")
		}
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Send([]byte("never")), c.Send([]byte("sent")))
	err = c.Close()
	<-c.Done()
	fmt.Println(err)
	fmt.Println(errors.Is(c.Send([]byte("too late")), session.ErrClosed))
	// Output:
	// <nil> <nil>
	// 2 messages were not sent, 9 bytes
	// <nil>
	// true
}
