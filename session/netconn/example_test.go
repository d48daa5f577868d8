package netconn_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/netconn"
)

// The standard library's HTTP server and client, over an engine.
func Example() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	l, err := netconn.Listen(e, "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.URL.Path[1:])
	})}
	go server.Serve(l)
	defer server.Close()

	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return netconn.Dial(ctx, e, network, address)
	}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("http://" + l.Addr().String() + "/Ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Println(string(body), err)
	// Output: hello, Ada <nil>
}

// receptionist handles lines. When one asks for it, a goroutine reads and writes as long as
// it wants, and then gives the session back.
type receptionist struct{}

func (r receptionist) OnMessage(s *session.Session, f session.Frame) {
	if string(f.Bytes()) != "talk" {
		_ = s.Send(fmt.Appendf(nil, "line %s", f.Bytes()))
		return
	}
	go talk(netconn.New(s), r)
}

// talk asks for a name, and whatever was sent after it is the handler's again.
func talk(c *netconn.Conn, next session.Handler) {
	fmt.Fprint(c, "name?\n")
	in := bufio.NewReader(c)
	name, err := in.ReadString('\n')
	if err != nil {
		c.Close()
		return
	}
	fmt.Fprintf(c, "hello %s", name)
	ahead, _ := in.Peek(in.Buffered()) // what the Reader has read and nobody wanted
	if c.Unread(ahead) != nil || c.Release(next) != nil {
		c.Close()
	}
}

// A session that is a net.Conn for a while.
func ExampleNew() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(receptionist{}, frame.Lines()))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Fprint(c, "one\ntalk\nAda\ntwo\nthree\n") // all at once
	answers := bufio.NewScanner(c)
	for range 5 {
		answers.Scan()
		fmt.Println(answers.Text())
	}
	// Output:
	// line one
	// name?
	// hello Ada
	// line two
	// line three
}
