package engine_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// TestFault25DialRefused: nobody listens. The error says so, and is logged once a second.
func TestFault25DialRefused(t *testing.T) {
	const dials = 200
	var log journal
	v := launch(t, engine.WithLogger(&log))
	address := closedPort(t, "tcp4")
	for range dials {
		_, err := v.engine.Dial(context.Background(), "tcp", address, newEcho())
		var op *net.OpError
		if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) || op.Addr.String() != address {
			t.Fatalf("Dial: %v, want ECONNREFUSED from %s", err, address)
		}
	}
	if st := v.engine.Stats(); st.DialErrors != dials || st.Dialled != 0 || st.Sessions != 0 {
		t.Errorf("%d errors, %d dialled, %d sessions", st.DialErrors, st.Dialled, st.Sessions)
	}
	until(t, "it is logged", func() bool { return len(log.of("dial_error")) > 0 })
	lines := log.of("dial_error")
	if got := lines[0]; got.level != engine.Warn || got.text["network"] != "tcp" || got.text["address"] != address ||
		!strings.Contains(got.text["cause"], "refused") {
		t.Errorf("logged as %v", got)
	}
	if len(lines) > dials/10 {
		t.Errorf("%d lines about %d errors", len(lines), dials)
	}
}

// TestFault25DialReset: the peer resets as soon as it is connected. Depending on when that
// comes, Dial says so, or the session ends for it.
func TestFault25DialReset(t *testing.T) {
	const dials = 300
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	v := launch(t)
	v.probe = newProbe()
	failed := 0
	for range dials {
		_, err := v.engine.Dial(context.Background(), "tcp", l.Addr().String(), v.probe)
		switch {
		case err == nil:
			v.awaitClose(session.ReasonPeerReset)
		case errors.Is(err, syscall.ECONNRESET):
			failed++
		default:
			t.Fatalf("Dial: %v", err)
		}
	}
	t.Logf("%d of %d resets came before Dial returned", failed, dials)
	if st := v.engine.Stats(); st.DialErrors != uint64(failed) || st.Dialled != uint64(dials-failed) || st.Opened != st.Dialled {
		t.Errorf("%d errors, %d dialled, %d opened; %d failed", st.DialErrors, st.Dialled, st.Opened, failed)
	}
}

// TestFault25DialNames: the name does not exist, its server fails, or does not answer.
func TestFault25DialNames(t *testing.T) {
	v := launchWithNames(t, nil)
	dial := func(ctx context.Context, name string) (dns *net.DNSError) {
		t.Helper()
		_, err := v.engine.Dial(ctx, "tcp", name+":7", newEcho())
		if !errors.As(err, &dns) {
			t.Fatalf("%s: %v, want a *net.DNSError", name, err)
		}
		return dns
	}
	if err := dial(context.Background(), "nobody.test."); !err.IsNotFound || err.Name != "nobody.test." {
		t.Errorf("no such name: %#v", err)
	}
	if err := dial(context.Background(), brokenName); err.IsNotFound || !err.IsTemporary {
		t.Errorf("the server fails: %#v", err)
	}
	soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := dial(soon, muteName); !err.IsTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the server does not answer: %#v", err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v to obey the context", took)
	}
}

// TestFault25FirstAddressDead: a name has two addresses, and nobody listens on one of them,
// whichever is tried first.
func TestFault25FirstAddressDead(t *testing.T) {
	if !hasIPv6() {
		t.Skip("this host has no IPv6: a name with addresses of both families needs it")
	}
	for _, alive := range []string{"tcp4", "tcp6"} {
		t.Run("alive on "+alive, func(t *testing.T) {
			v := launchWithNames(t, map[string][]netip.Addr{"dual.test.": loopbacks()})
			v.probe = newProbe()
			l, err := net.Listen(alive, freeAddress(t, alive))
			must(t, err)
			defer l.Close()
			at := netip.MustParseAddrPort(l.Addr().String())
			s, err := v.engine.Dial(context.Background(), "tcp", portOf("dual.test.", at), v.probe)
			must(t, err)
			if got := s.RemoteAddr().String(); got != at.String() {
				t.Errorf("connected to %s, want %v", got, at)
			}
			must(t, s.Abort())
			await(t, "OnClose", v.probe.closed)
		})
	}
	t.Run("alive on neither", func(t *testing.T) {
		v := launchWithNames(t, map[string][]netip.Addr{"dual.test.": loopbacks()})
		at := netip.MustParseAddrPort(closedPort(t, "tcp6"))
		if _, err := v.engine.Dial(context.Background(), "tcp", portOf("dual.test.", at), newEcho()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial: %v", err)
		}
	})
}

// portOf is a name with the port of an address.
func portOf(name string, at netip.AddrPort) string {
	_, port, _ := net.SplitHostPort(at.String())
	return net.JoinHostPort(name, port)
}

// TestFault25UnixQueueFull: a unix socket says at once that its listener has no room, where
// TCP would wait. So does Dial, whose caller knows best when to try again.
func TestFault25UnixQueueFull(t *testing.T) {
	l, err := sock.Kernel().Listen("unix", freeAddress(t, "unix"), sock.ListenOptions{Backlog: 1})
	must(t, err)
	defer func() { check(t, l.Release(sock.Kernel())) }()
	v := launch(t)
	v.probe = newProbe()
	for range 100 {
		s, err := v.engine.Dial(context.Background(), "unix", l.Addr.String(), v.probe)
		if err == nil {
			defer func() { check(t, s.Abort()) }()
			continue
		}
		// Linux has a number of its own for this; the BSDs refuse, as if nobody listened.
		var op *net.OpError
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) {
			t.Errorf("Dial: %v, want EAGAIN", err)
		}
		return
	}
	t.Error("a listener with a queue of one takes a hundred connections")
}

// TestDialManyAtOnce leaves nothing behind of dials that work, fail and are given up.
func TestDialManyAtOnce(t *testing.T) {
	dials := amount(2000, 600, 200)
	v := serve(t, "tcp4", newProbe(), engine.WithLoops(2))
	v.probe = nil
	client := newProbe()
	dead := closedPort(t, "tcp4")
	done := make(chan error, dials)
	gate := make(chan struct{}, 64)
	for i := range dials {
		gate <- struct{}{}
		go func() {
			defer func() { <-gate }()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			address := v.listener.Addr().String()
			switch i % 3 {
			case 1:
				address = dead
			case 2:
				time.AfterFunc(time.Duration(i%7)*100*time.Microsecond, cancel)
			}
			s, err := v.engine.Dial(ctx, "tcp4", address, client)
			if err == nil {
				err = s.Abort()
			}
			done <- err
		}()
	}
	refused, cancelled := 0, 0
	for range dials {
		switch err := await(t, "a dial", done); {
		case errors.Is(err, syscall.ECONNREFUSED):
			refused++
		case errors.Is(err, context.Canceled):
			cancelled++
		case err != nil:
			t.Error(err)
		}
	}
	until(t, "all gone", func() bool { return v.engine.Count() == 0 })
	st := v.engine.Stats()
	t.Logf("%d dialled, %d refused, %d given up", st.Dialled, refused, cancelled)
	if st.DialErrors != uint64(refused+cancelled) || st.Dialled != uint64(dials-refused-cancelled) || refused != (dials+1)/3 {
		t.Errorf("%d dialled, %d errors; %d refused and %d given up of %d", st.Dialled, st.DialErrors, refused, cancelled, dials)
	}
	for _, m := range client.mistakes {
		t.Error(m)
	}
}
