package engine_test

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// Limits on connections and on what peers send, over real sockets.

// maxSessions fills an engine, is refused, and finds room when somebody left.
func maxSessions(t *testing.T, s setting) {
	const most = 5
	v := s.serve(t, newProbe(), engine.WithMaxSessions(most))
	var inside []stream
	for range most {
		c, _ := v.open()
		inside = append(inside, c)
	}
	for range 10 {
		if s.network != "unix" {
			mustBeRefused(t, v.listener.Addr())
			continue
		}
		c := v.dial()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a session above the limit says something")
		}
	}
	for _, c := range inside {
		mustEcho(t, c, "unhurt")
	}
	if st := v.engine.Stats(); st.Refused != 10 || st.RefusedFull != 10 || st.Sessions != most || v.engine.Count() != most {
		t.Errorf("%d refused, %d of them as full, %d sessions; want 10, 10, %d", st.Refused, st.RefusedFull, st.Sessions, most)
	}
	inside[0].Close()
	v.awaitClose(session.ReasonPeerClosed)
	// It is counted out before its place is free, and among the closed after that.
	until(t, "there is room", func() bool { return v.engine.Stats().Closed["peer_closed"] == 1 })
	if n := v.engine.Count(); n != most-1 {
		t.Errorf("%d sessions after one has closed, want %d", n, most-1)
	}
	mustEcho(t, v.dial(), "let in")
}

// TestMaxSessionsUnderContention dials from many goroutines, to a listening socket
// per loop and to several listeners: first nobody leaves, then many do.
func TestMaxSessionsUnderContention(t *testing.T) {
	const most, dialers = 20, 16
	p := newProbe()
	v := serve(t, "tcp4", p, engine.WithLoops(4), engine.WithReusePort(), engine.WithMaxSessions(most))
	addrs := []net.Addr{v.listener.Addr(), v.listen("tcp4", p).Addr()}
	dials := amount(1000, 100, 30)
	// dial has each goroutine open connections, of which it keeps the last ones.
	dial := func(keep int) (kept chan net.Conn) {
		kept = make(chan net.Conn, dialers*dials)
		var all sync.WaitGroup
		for i := range dialers {
			all.Go(func() {
				var mine []net.Conn
				for range dials {
					c, err := net.DialTimeout("tcp4", addrs[i%2].String(), patience)
					if errors.Is(err, syscall.ECONNRESET) {
						continue // refused before Dial returned
					}
					if err != nil {
						t.Error(err)
						return
					}
					check(t, c.(*net.TCPConn).SetLinger(0)) // leaves no port behind
					if mine = append(mine, c); len(mine) > keep {
						mine[0].Close()
						mine = mine[1:]
					}
				}
				for _, c := range mine {
					kept <- c
				}
			})
		}
		all.Wait()
		close(kept)
		return kept
	}
	kept := dial(dials)
	// placed tells whether so many were taken from the queues, and then opened or refused.
	placed := func(n int) bool {
		st := v.engine.Stats()
		return st.Accepted+st.AcceptErrors == uint64(n) && st.Opened+st.Refused == st.Accepted
	}
	until(t, "all opened or refused", func() bool { return placed(dialers * dials) })
	if st := v.engine.Stats(); v.engine.Count() != most || st.Opened != most || st.RefusedFull != uint64(dialers*dials-most) {
		t.Errorf("%d sessions, %d opened, %d refused of %d; want %d, and the rest", v.engine.Count(), st.Opened, st.RefusedFull, st.Accepted, most)
	}
	for c := range kept {
		c.Close()
	}
	for c := range dial(4) {
		c.Close()
	}
	until(t, "all opened or refused", func() bool { return placed(2 * dialers * dials) })
	until(t, "all gone", func() bool { // those that are counted among the closed have given their places back
		st, closed := v.engine.Stats(), uint64(0)
		for _, n := range st.Closed {
			closed += n
		}
		return closed == st.Opened && st.Sessions == 0
	})
	for len(p.opened) > 0 {
		<-p.opened
	}
	for range most { // no place was lost
		v.open()
	}
}

// TestMaxPerAddressOfPeers dials from several addresses.
func TestMaxPerAddressOfPeers(t *testing.T) {
	if !hasLoopbackNet(t) {
		t.Skip("this system has one IPv4 loopback address: the limit needs several")
	}
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), engine.WithMaxPerAddress(2))
	from := func(last byte) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
		c, err := d.Dial("tcp4", v.listener.Addr().String())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		return c, c.SetDeadline(time.Now().Add(patience))
	}
	for _, address := range []byte{1, 2} {
		for range 2 {
			c, err := from(address)
			must(t, err)
			mustEcho(t, c, "let in")
		}
		c, err := from(address)
		if err == nil { // else it was refused before Dial returned
			_, err = c.Read(make([]byte, 1))
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a third connection of an address gets %v, want ECONNRESET", err)
		}
	}
	if st := v.engine.Stats(); st.RefusedCrowded != 2 || st.Sessions != 4 {
		t.Errorf("%d refused, %d sessions; want 2, 4", st.RefusedCrowded, st.Sessions)
	}
}

// hasLoopbackNet tells whether all of 127.0.0.0/8 is there, as on Linux.
func hasLoopbackNet(t *testing.T) bool {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		return false
	}
	must(t, l.Close())
	return true
}

// TestAcceptRateOverSockets: clients wait, nobody is refused, and all are served.
func TestAcceptRateOverSockets(t *testing.T) {
	const clients, perSecond, burst = 60, 100, 10
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2), engine.WithReusePort(), engine.WithAcceptRate(perSecond, burst))
	began := time.Now()
	var all []stream
	for range clients {
		all = append(all, v.dial()) // the kernel connects them
	}
	for _, c := range all {
		mustEcho(t, c, "patient")
	}
	if took, least := time.Since(began), (clients-burst)*time.Second/perSecond; took < least {
		t.Errorf("%d clients were let in within %v, want at least %v", clients, took, least)
	}
	if st := v.engine.Stats(); st.AcceptWaits == 0 || st.Refused != 0 || st.AcceptErrors != 0 || st.AcceptPauses != 0 {
		t.Errorf("%d waits, %d refused, %d errors, %d pauses", st.AcceptWaits, st.Refused, st.AcceptErrors, st.AcceptPauses)
	}
}
