//go:build linux

package main

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
)

// Row 22: connections that end in the middle of a message.

func resets(s *scene) {
	const clients = 100
	base := s.state()
	for range clients {
		c, err := dial(s.hello.Address, dialPatience)
		if err != nil {
			s.fail("%v", err)
			return
		}
		if _, err := c.Write(letters(1, 1000)); err != nil {
			s.fail("%v", err)
		}
		reset(c)
	}
	s.checkReset(base, clients)
}

// checkReset wants n more connections to have ended, each once.
func (s *scene) checkReset(base state, n int) {
	st := s.await(func(st state) bool { return st.Closed-base.Closed >= int64(n) })
	s.see("%d of %d ended, %d told twice", st.Closed-base.Closed, n, st.ClosedAgain)
	s.require(st.Closed-base.Closed == int64(n), "%d of %d ended", st.Closed-base.Closed, n)
	s.require(st.ClosedAgain == 0, "%d ends were told twice", st.ClosedAgain)
	if s.kind.weir {
		counted := st.counter("Closed", "peer_reset") - base.counter("Closed", "peer_reset")
		s.see("%d counted as peer_reset", counted)
		s.require(counted == n, "%d counted as peer_reset", counted)
	}
}

func destroys(s *scene) {
	const clients = 10
	var conns []*net.TCPConn
	for range clients {
		c, err := dialEcho(s.hello.Address)
		if err != nil {
			s.fail("%v", err)
			return
		}
		defer reset(c)
		conns = append(conns, c)
	}
	base := s.state()
	for _, c := range conns {
		// The server's end of the connection: ours is the one with the ends swapped.
		out, err := exec.Command("ss", "-K", "-t", "-n", "-H", "src", s.hello.Address, "dst", c.LocalAddr().String()).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.LocalAddr().String()) {
			s.Cannot = fmt.Sprintf("ss -K destroys nothing: %v %s", err, firstLine(string(out)))
			return
		}
	}
	s.checkReset(base, clients)
}
