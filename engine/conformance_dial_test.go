package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// Connections that the engine makes, or is given.

// dials has an engine talk to itself: it is usable when Dial returns, and both ends
// have the usual life.
func dials(t *testing.T, s setting) {
	const clients, rounds = 8, 50
	v := s.serve(t, newProbe())
	heard := make(chan string, clients*rounds)
	client := newProbe()
	client.onMessage = func(_ *session.Session, f session.Frame) { heard <- string(f.Bytes()) }
	v.probe, client.opened = nil, v.probe.opened // no single probe sees it all
	var all []*session.Session
	for range clients {
		c, err := v.engine.Dial(context.Background(), s.network, v.listener.Addr().String(), client)
		must(t, err)
		if c.State() != session.Open {
			t.Fatalf("Dial returned a session that is %v", c.State())
		}
		if got, want := c.RemoteAddr().String(), v.listener.Addr().String(); s.network != "unix" && got != want {
			t.Errorf("the remote address is %s, want %s", got, want)
		}
		all = append(all, c)
	}
	for i := range rounds {
		for j, c := range all {
			text := fmt.Sprint(i, j)
			must(t, c.Send([]byte(text)))
			if got := await(t, "the echo", heard); got != text {
				t.Fatalf("heard %q, want %q", got, text)
			}
		}
	}
	st := v.engine.Stats()
	if st.Dialled != clients || st.DialErrors != 0 || st.Adopted != 0 || st.Accepted != clients || st.Opened != 2*clients {
		t.Errorf("%d dialled, %d errors, %d adopted, %d accepted, %d opened", st.Dialled, st.DialErrors, st.Adopted, st.Accepted, st.Opened)
	}
	for _, c := range all {
		must(t, c.Close())
	}
	for range clients {
		if got := await(t, "OnClose", client.closed); got.reason.Reason != session.ReasonLocalClose {
			t.Errorf("closed for %v", got.reason)
		}
	}
	until(t, "all sessions gone", func() bool { return v.engine.Count() == 0 })
}

// dialsWithoutHandlers returns from Dial, and sends, while OnOpen waits for that.
func dialsWithoutHandlers(t *testing.T, s setting) {
	v := s.launch(t)
	v.probe = newProbe()
	far, err := net.Listen(s.network, freeAddress(t, s.network))
	must(t, err)
	defer far.Close()
	returned := make(chan struct{})
	v.probe.onOpen = func(*session.Session) { <-returned }
	c, err := v.engine.Dial(context.Background(), s.network, far.Addr().String(), v.probe)
	must(t, err)
	must(t, c.Send([]byte("hello")))
	close(returned)
	peer, err := far.Accept()
	must(t, err)
	defer peer.Close()
	must(t, peer.SetDeadline(time.Now().Add(patience)))
	mustRead(t, peer, "hello")
	must(t, c.Abort())
	await(t, "OnClose", v.probe.closed)
}

// adoptsConns makes sessions of both ends of a connection of package net.
func adoptsConns(t *testing.T, s setting) {
	v := s.launch(t)
	v.probe = newProbe()
	l, err := net.Listen(s.network, freeAddress(t, s.network))
	must(t, err)
	defer l.Close()
	ours, err := net.Dial(s.network, l.Addr().String())
	must(t, err)
	theirs, err := l.Accept()
	must(t, err)

	heard := make(chan string, 1)
	v.probe.onMessage = func(_ *session.Session, f session.Frame) { heard <- string(f.Bytes()) }
	a, err := v.engine.AdoptConn(ours, v.probe)
	must(t, err)
	b, err := v.engine.AdoptConn(theirs, v.probe)
	must(t, err)
	must(t, ours.Close())
	must(t, theirs.Close())
	for _, c := range []*session.Session{a, b} {
		must(t, c.Send([]byte("hello")))
		if got := await(t, "the message", heard); got != "hello" {
			t.Errorf("heard %q", got)
		}
	}
	if s.network != "unix" && a.RemoteAddr().String() != b.LocalAddr().String() {
		t.Errorf("one end's peer is %v, the other is at %v", a.RemoteAddr(), b.LocalAddr())
	}
	if _, err := a.TCP(); (err == nil) == (s.network == "unix") {
		t.Errorf("TCP options: %v", err)
	}
	if st := v.engine.Stats(); st.Adopted != 2 || st.Dialled != 0 || st.Accepted != 0 {
		t.Errorf("%d adopted, %d dialled, %d accepted", st.Adopted, st.Dialled, st.Accepted)
	}
	must(t, a.Close())
	for range 2 {
		await(t, "OnClose", v.probe.closed)
	}
}

// dialsAreNotAdmitted: limits on sessions are about those who come.
func dialsAreNotAdmitted(t *testing.T, s setting) {
	v := s.serve(t, newProbe(), engine.WithMaxSessions(1), engine.WithMaxPerAddress(1))
	v.probe = nil
	client := newProbe()
	far, err := net.Listen(s.network, freeAddress(t, s.network)) // its queue has room for three
	must(t, err)
	defer far.Close()
	for range 3 {
		_, err := v.engine.Dial(context.Background(), s.network, far.Addr().String(), client)
		must(t, err)
	}
	c := v.dial()
	mustEcho(t, c, "let in")
	for range 3 {
		must(t, await(t, "OnOpen", client.opened).Abort())
		await(t, "OnClose", client.closed)
	}
	until(t, "they are gone", func() bool { return v.engine.Count() == 1 })
	if s.network != "unix" {
		mustBeRefused(t, v.listener.Addr()) // no place was counted out that was not counted in
	}
}

// dialErrors are what the caller gets when it does not work.
func dialErrors(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	address := freeAddress(t, s.network)
	if s.network != "unix" {
		address = closedPort(t, s.network)
	}
	want := error(syscall.ECONNREFUSED)
	if s.network == "unix" {
		want = syscall.ENOENT
	}
	_, err := v.engine.Dial(context.Background(), s.network, address, v.probe)
	var op *net.OpError
	if !errors.Is(err, want) || !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("nobody listens: %v, want a *net.OpError with %v", err, want)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.engine.Dial(cancelled, s.network, v.listener.Addr().String(), v.probe); !errors.Is(err, context.Canceled) {
		t.Errorf("its context has ended: %v", err)
	}
	if _, err := v.engine.Dial(context.Background(), "udp", "127.0.0.1:1", v.probe); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("a network that is none: %v", err)
	}
	var option *engine.OptionError
	if _, err := v.engine.Dial(context.Background(), s.network, address, nil); !errors.As(err, &option) {
		t.Errorf("no handler: %v", err)
	}
	if st := v.engine.Stats(); st.DialErrors != 3 || st.Dialled != 0 || st.Sessions != 0 {
		t.Errorf("%d errors, %d dialled, %d sessions", st.DialErrors, st.Dialled, st.Sessions)
	}
	v.shutdown()
	if _, err := v.engine.Dial(context.Background(), s.network, address, v.probe); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("the engine has ended: %v", err)
	}
}

// closedPort is an address that nobody listens on, and nobody is given by the kernel.
func closedPort(t *testing.T, network string) string {
	t.Helper()
	return lastingAddress(t, network)
}
