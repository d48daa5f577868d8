//go:build unix

package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// TestFault12IdlePeerStopped: the peer's process is stopped, and its kernel goes on
// answering for it: acknowledgements, keep-alive and all. Only a heartbeat tells, at either
// end of the connection. The peer of the test is a process of its own.
func TestFault12IdlePeerStopped(t *testing.T) {
	const interval, missed = 600 * time.Millisecond, 2 // an answer may be late by one of these
	const slack = 2 * time.Second
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline, engine.Single} {
		for _, end := range []string{"accepted", "dialled"} {
			t.Run(mode.String()+", "+end, func(t *testing.T) {
				b := newBeating(newProbe())
				v := launch(t, engine.WithMode(mode), engine.WithHeartbeat(interval, missed))
				v.probe = b.probe
				h := session.Framed(b, frame.Lines())
				peer := startChild(t, "answer")
				if end == "accepted" {
					fmt.Fprintln(peer.stdin, "dial", v.listen("tcp4", h).Addr())
				} else {
					fmt.Fprintln(peer.stdin, "listen")
					_, err := v.engine.Dial(context.Background(), "tcp4", peer.line(t), h)
					must(t, err)
				}
				s := await(t, "OnOpen", b.opened)
				until(t, "it answers", func() bool { return b.pongs.Load() >= 2 })

				began := time.Now()
				must(t, peer.Process.Signal(syscall.SIGSTOP))
				got := await(t, "OnClose", b.closed)
				took := time.Since(began)
				t.Logf("noticed after %v, bound %v", took, missed*interval)
				if got.session != s || got.reason.Reason != session.ReasonHeartbeat || !errors.Is(got.reason, session.ReasonHeartbeat) {
					t.Errorf("closed because of %v", got.reason)
				}
				if took > missed*interval+slack {
					t.Errorf("noticed after %v, want no more than %v", took, missed*interval)
				}
			})
		}
	}
}

// answerRole connects or listens, as its input says, and answers each line with "pong".
func answerRole([]string) int {
	order := bufio.NewScanner(os.Stdin)
	order.Scan()
	var how, address string
	_, _ = fmt.Sscan(order.Text(), &how, &address) // listen has no address
	conn, err := connectAs(how, address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if _, err := conn.Write([]byte("pong\n")); err != nil {
			return 0
		}
	}
	return 0
}

func connectAs(how, address string) (net.Conn, error) {
	if how == "dial" {
		return net.Dial("tcp4", address)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	fmt.Println(l.Addr())
	return l.Accept()
}
