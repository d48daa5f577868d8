package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// ask sends text to an address, ends its side, and returns the whole answer. It
// tries again while nobody listens yet.
func ask(network, address, text string) string {
	var c net.Conn
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		var err error
		if c, err = net.Dial(network, address); err == nil {
			break
		}
		if time.Since(begin) > 10*time.Second {
			return err.Error()
		}
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return err.Error()
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

// An echo server on a unix socket, until the context ends.
func ExampleListenAndServe() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	directory, err := os.MkdirTemp("", "weir")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "echo.sock")

	go func() { // a client
		fmt.Println(ask("unix", path, "hello"))
		stop()
	}()

	echo := session.HandlerFunc(func(s *session.Session, f session.Frame) { _ = s.Send(f.Bytes()) })
	err = engine.ListenAndServe(ctx, "unix", path, echo)
	fmt.Println(err)
	// Output:
	// hello
	// <nil>
}

// An engine with two listeners, on ports that the kernel chooses.
func ExampleEngine_Listen() {
	e, err := engine.New(engine.WithLoops(2), engine.WithIdleTimeout(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()

	shout := session.HandlerFunc(func(s *session.Session, f session.Frame) {
		_ = s.Send([]byte(strings.ToUpper(string(f.Bytes()))))
	})
	count := session.HandlerFunc(func(s *session.Session, f session.Frame) {
		_ = s.SendAndClose(fmt.Appendf(nil, "%d bytes", f.Len()), nil)
	})
	for _, h := range []session.Handler{shout, count} {
		l, err := e.Listen("tcp", "127.0.0.1:0", h)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(ask("tcp", l.Addr().String(), "hello"))
	}
	// Output:
	// HELLO
	// 5 bytes
}

// Whoever knows a session's id can send to it, from any goroutine. An id is never
// given to another session.
func ExampleEngine_Session() {
	e, err := engine.New(engine.WithHalfOpen()) // the client ends its side first
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	ids, gone := make(chan uint64, 1), make(chan struct{})
	l, err := e.Listen("tcp", "127.0.0.1:0", door{ids, gone})
	if err != nil {
		fmt.Println(err)
		return
	}

	answer := make(chan string)
	go func() { answer <- ask("tcp", l.Addr().String(), "let me in") }()

	id := <-ids
	if s, err := e.Session(id); err == nil {
		_ = s.SendAndClose([]byte("come in"), nil)
	}
	fmt.Println(<-answer)

	<-gone
	_, err = e.Session(id)
	fmt.Println(errors.Is(err, engine.ErrNotFound))
	// Output:
	// come in
	// true
}

// door tells the ids of its sessions and leaves the answer to others.
type door struct {
	ids  chan uint64
	gone chan struct{}
}

func (d door) OnMessage(s *session.Session, _ session.Frame) { d.ids <- s.ID() }
func (d door) OnPeerClose(*session.Session)                  {}
func (d door) OnClose(*session.Session, error)               { close(d.gone) }

// chat is a room: what one says in a line, all hear.
type chat struct{ all *session.Group }

func (c chat) OnOpen(s *session.Session) {
	_ = c.all.Join(s) // until it closes
	_ = s.Send([]byte("welcome"))
}

func (c chat) OnMessage(_ *session.Session, f session.Frame) { _ = c.all.Send(f.Bytes()) }

// A chat room in which two meet. A member that does not read is closed; see WithGroups.
func ExampleEngine_Group() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(chat{e.Group("room")}, frame.Lines()))
	if err != nil {
		fmt.Println(err)
		return
	}

	ada, bob := enter(l.Addr()), enter(l.Addr())
	defer ada.Close()
	defer bob.Close()
	fmt.Fprintln(ada, "hello Bob")
	fmt.Println("Bob hears:", bob.hear())
	fmt.Fprintln(bob, "hello Ada")
	fmt.Println("Ada hears:", ada.hear())
	fmt.Println("Ada hears:", ada.hear())
	// Output:
	// Bob hears: hello Bob
	// Ada hears: hello Bob
	// Ada hears: hello Ada
}

// client is somebody in the room.
type client struct {
	net.Conn
	lines *bufio.Scanner
}

// enter returns when the room's welcome has come.
func enter(room net.Addr) client {
	conn, err := net.Dial(room.Network(), room.String())
	if err != nil {
		panic(err)
	}
	c := client{conn, bufio.NewScanner(conn)}
	c.hear()
	return c
}

func (c client) hear() string {
	c.lines.Scan()
	return c.lines.Text()
}

// A session is thrown out by its id, with a reason that its handler is told.
func ExampleEngine_Kick() {
	e, err := engine.New(engine.WithHalfOpen()) // the client ends its side first
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	ids, reasons := make(chan uint64, 1), make(chan error, 1)
	l, err := e.Listen("tcp", "127.0.0.1:0", guest{ids, reasons})
	if err != nil {
		fmt.Println(err)
		return
	}
	go ask("tcp", l.Addr().String(), "hello")

	id := <-ids
	fmt.Println(e.Kick(id, errors.New("rude words")))
	fmt.Println(<-reasons)
	fmt.Println(errors.Is(e.Kick(id, nil), engine.ErrNotFound))
	// Output:
	// <nil>
	// session: local_close: rude words
	// true
}

// The last sessions that closed are remembered, for whoever comes to look.
func ExampleEngine_RecentlyClosed() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	reasons := make(chan error, 1)
	l, err := e.Listen("tcp", "127.0.0.1:0", guest{make(chan uint64, 1), reasons})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask("tcp", l.Addr().String(), "hello")
	<-reasons
	_ = e.Close()

	for _, c := range e.RecentlyClosed() {
		fmt.Println(c.Reason.String(), c.BytesIn, "bytes in,", c.BytesOut, "out")
	}
	// Output:
	// peer_closed 5 bytes in, 0 out
}

// guest tells of its sessions' coming and going.
type guest struct {
	ids     chan uint64
	reasons chan error
}

func (g guest) OnMessage(s *session.Session, _ session.Frame) { g.ids <- s.ID() }
func (g guest) OnPeerClose(*session.Session)                  {}
func (g guest) OnClose(_ *session.Session, reason error)      { g.reasons <- reason }
