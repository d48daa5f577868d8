//go:build unix

package rpc_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/rpc"
)

// A process that is stopped keeps its connections: its kernel goes on answering. Only a
// heartbeat notices.

const beat = 500 * time.Millisecond

// roleVariable has the test binary be the other process: a server, or a client of an
// address.
const roleVariable = "WEIR_RPC_TEST_ROLE"

// TestRole is the other process. In any other there is nothing to do.
func TestRole(t *testing.T) {
	role := strings.Fields(os.Getenv(roleVariable))
	if len(role) == 0 {
		return
	}
	e, err := engine.New(engine.WithHeartbeat(beat, 2))
	must(t, err)
	defer e.Close()
	p := newPeer(t)
	p.HandleApart("wait", func(r *rpc.Request) (*message.Message, error) {
		<-r.Context().Done()
		return nil, nil
	})
	if role[0] == "server" {
		l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(p, frame.Default()))
		must(t, err)
		fmt.Println(l.Addr())
	} else {
		_, err := e.Dial(t.Context(), "tcp", role[1], session.Framed(p, frame.Default()))
		must(t, err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
}

// startRole starts the other process, which ends with the test.
func startRole(t *testing.T, role string) (*os.Process, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	c := exec.Command(exe, "-test.run=^TestRole$")
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	must(t, err)
	stdout, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = c.Process.Kill() // it may have ended by itself
		_ = c.Wait()
	})
	return c.Process, bufio.NewReader(stdout)
}

// TestHeartbeat stops the other end, once each: it is noticed two intervals after it was
// heard last, and the call that waits is in doubt. While it lives it stays, though nobody
// says a word for many intervals.
func TestHeartbeat(t *testing.T) {
	for name, mode := range map[string]engine.Mode{"pool": engine.Pool, "inline": engine.Inline} {
		t.Run("server/"+name, func(t *testing.T) {
			t.Parallel()
			client := newPeer(t)
			other, out := startRole(t, "server")
			address, err := out.ReadString('\n')
			must(t, err)
			e := beating(t, mode)
			s, err := e.Dial(t.Context(), "tcp", strings.TrimSpace(address), session.Framed(client, frame.Default()))
			must(t, err)
			mustNotice(t, other, e, client, s)
		})
		t.Run("client/"+name, func(t *testing.T) {
			t.Parallel()
			opened := make(chan *session.Session, 1)
			server := opener{newPeer(t), opened}
			e := beating(t, mode)
			l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(server, frame.Default()))
			must(t, err)
			other, _ := startRole(t, "client "+l.Addr().String())
			mustNotice(t, other, e, server.Peer, await(t, "the client", opened))
		})
	}
}

func beating(t *testing.T, mode engine.Mode) *engine.Engine {
	return setting{opts: []engine.Option{engine.WithMode(mode), engine.WithHeartbeat(beat, 2)}}.launch(t)
}

func mustNotice(t *testing.T, other *os.Process, e *engine.Engine, p *rpc.Peer, s *session.Session) {
	t.Helper()
	pings := e.Stats().Pings
	until(t, "silence is broken three times", func() bool {
		return e.Stats().Pings >= pings+3 || s.Stats().MessagesIn >= 3
	})
	if s.State() != session.Open {
		t.Fatalf("the session is %v while the other end lives", s.State())
	}
	var trip, rtt time.Duration
	until(t, "a ping with no heartbeat's after it", func() bool { // which would measure, too
		before := e.Stats().Pings
		var err error
		trip, err = p.Ping(t.Context(), s)
		must(t, err)
		rtt = s.Stats().RTT
		return e.Stats().Pings == before
	})
	if rtt != trip || rtt <= 0 || rtt > 10*time.Second {
		t.Errorf("RTT is %v, Ping took %v", rtt, trip)
	}
	type end struct {
		err error
		at  time.Time
	}
	ended := make(chan end, 1)
	must(t, p.Go(t.Context(), s, message.New("wait"), func(_ *message.Message, err error) { ended <- end{err, time.Now()} }))
	_, err := p.Ping(t.Context(), s) // the request before it has arrived
	must(t, err)
	stopped := time.Now()
	must(t, other.Signal(syscall.SIGSTOP))
	over := await(t, "the end of the call", ended)
	took := over.at.Sub(stopped) // however late this goroutine is
	if !errors.Is(over.err, rpc.ErrInDoubt) || !errors.Is(over.err, session.ReasonHeartbeat) {
		t.Errorf("the call ended with %v", over.err)
	}
	t.Logf("noticed after %v, heartbeats are %v apart; round trip %v", took.Round(time.Millisecond), beat, trip)
	// It was heard last just before it was stopped; the rest is what a busy machine is late by.
	if took >= 3*beat {
		t.Errorf("noticed after %v, want %v", took, 2*beat)
	}
}
