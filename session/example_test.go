package session_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// visitor is what guestbook keeps with each session.
type visitor struct{ name string }

// guestbook asks for a name and says goodbye. Besides OnMessage it has two of
// the optional parts of a Handler.
type guestbook struct{ closed chan error }

func (g guestbook) OnOpen(s *session.Session) {
	s.SetValue(&visitor{name: "nobody"})
	_ = s.Send([]byte("your name?\n"))
}

func (g guestbook) OnMessage(s *session.Session, f session.Frame) {
	v := s.Value().(*visitor)
	v.name = strings.TrimSpace(string(f.Bytes())) // a copy: f is valid until we return
	if v.name == "" {
		_ = s.SendAndClose([]byte("no name, no entry\n"), session.ReasonProtocolError)
		return
	}
	_ = s.SendAndClose(fmt.Appendf(nil, "welcome and goodbye, %s\n", v.name), nil)
}

func (g guestbook) OnClose(s *session.Session, reason error) {
	fmt.Printf("%s left: %v\n", s.Value().(*visitor).name, reason)
	g.closed <- reason
}

// A handler with all that belongs to one: parts, a value per session, a last
// message, and the reason of the end.
func Example() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	book := guestbook{closed: make(chan error, 1)}
	l, err := e.Listen("tcp", "127.0.0.1:0", book)
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, answer := range []string{"Ada\n", "\n"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		lines := bufio.NewReader(c)
		question, _ := lines.ReadString('\n')
		fmt.Print(question)
		_, _ = io.WriteString(c, answer)
		farewell, _ := io.ReadAll(lines)
		fmt.Print(string(farewell))
		_ = c.Close()

		reason := <-book.closed
		fmt.Println("protocol error:", errors.Is(reason, session.ReasonProtocolError))
	}
	// Output:
	// your name?
	// welcome and goodbye, Ada
	// Ada left: session: local_close
	// protocol error: false
	// your name?
	// no name, no entry
	//  left: session: protocol_error
	// protocol error: true
}
