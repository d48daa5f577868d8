package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// The end of an engine, in all the ways that it can come.

func shutdownDrains(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	c, opened := v.open()
	data := patternBytes(1, 4<<20)
	must(t, opened.Send(data)) // most of it stays queued
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			ended <- v.engine.Shutdown(ctx)
		}()
	}
	got, err := io.ReadAll(c)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("the peer got %d bytes of %d, or others", len(got), len(data))
	}
	c.Close()
	v.awaitClose(session.ReasonShutdown)
	must(t, await(t, "Shutdown", ended))
	must(t, await(t, "Shutdown", ended))
	if n := v.engine.Stats().Aborted; n != 0 {
		t.Errorf("Stats.Aborted is %d after all have drained", n)
	}
	v.shutdown()                // a third time
	must(t, v.engine.Close())   // and after all
	must(t, v.listener.Close()) // which is closed, too
}

func shutdownAborts(t *testing.T, s setting) {
	const conns = 10
	v := s.serve(t, newProbe())
	var streams []stream
	for range conns {
		c, opened := v.open()
		must(t, opened.SendOwned(make([]byte, 16<<20), nil))
		streams = append(streams, c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	err := v.engine.Shutdown(ctx)
	took := time.Since(began)
	t.Logf("Shutdown with an expired context took %v", took)
	if took > 2*time.Second {
		t.Errorf("Shutdown with an expired context took %v", took)
	}
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "10 sessions") {
		t.Errorf("Shutdown: %v; want context.Canceled and the number of sessions", err)
	}
	for _, c := range streams {
		mustReset(t, c)
		if reason := v.awaitClose(session.ReasonShutdown); reason.Unsent == 0 {
			t.Error("an aborted session has nothing unsent")
		}
	}
	if st := v.engine.Stats(); st.Unsent == 0 || st.Aborted != conns {
		t.Errorf("Stats: %d bytes unsent, %d sessions aborted; want some, and %d", st.Unsent, st.Aborted, conns)
	}
}

func serveDrains(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		served <- v.engine.Serve(ctx)
	}()
	<-started
	c, opened := v.open()
	mustEcho(t, c, "x")
	data := patternBytes(1, 2<<20)
	must(t, opened.Send(data))
	cancel()
	got, err := io.ReadAll(c)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("the peer got %d bytes of %d, or others", len(got), len(data))
	}
	c.Close()
	must(t, await(t, "Serve", served))
	if err := v.engine.Serve(context.Background()); !errors.Is(err, engine.ErrServing) {
		t.Errorf("second Serve: %v, want ErrServing", err)
	}
}

func handlersCannotWait(t *testing.T, s setting) {
	v := s.launch(t)
	waiting := func(from string) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_, listenErr := v.engine.Listen("tcp", "127.0.0.1:0", newProbe())
		_, dialErr := v.engine.Dial(ctx, "tcp", "127.0.0.1:1", newProbe())
		_, adoptErr := v.engine.AdoptConn(nil, newProbe())
		for call, err := range map[string]error{
			"Serve": v.engine.Serve(ctx), "Shutdown": v.engine.Shutdown(ctx),
			"Close": v.engine.Close(), "Listen": listenErr,
			"Dial": dialErr, "AdoptConn": adoptErr,
		} {
			if !errors.Is(err, engine.ErrDeadlock) {
				t.Errorf("%s in %s: %v, want ErrDeadlock", call, from, err)
			}
		}
	}
	p := newProbe()
	v.probe = p
	p.onOpen = func(*session.Session) { waiting("OnOpen") }
	p.onMessage = func(s *session.Session, f session.Frame) {
		waiting("OnMessage")
		check(t, s.Send(f.Bytes()))
	}
	p.onClose = func(*session.Session, *session.CloseError) { waiting("OnClose") }
	v.listener = v.listen(s.network, p)
	c, opened := v.open()
	mustEcho(t, c, "x")
	done := make(chan struct{})
	must(t, opened.Post(func() { waiting("a task"); close(done) }))
	await(t, "task", done)
	c.Close()
	v.awaitClose(session.ReasonPeerClosed)
}

func stopFromHandler(t *testing.T, s setting) {
	v := s.launch(t)
	v.probe = newProbe()
	v.probe.onMessage = func(s *session.Session, f session.Frame) {
		v.engine.Stop()
		check(t, s.Send([]byte("stopping")))
	}
	v.listener = v.listen(s.network, v.probe)
	served := make(chan error, 1)
	go func() { served <- v.engine.Serve(context.Background()) }()
	c := v.dial()
	_, err := io.WriteString(c, "x")
	must(t, err)
	mustRead(t, c, "stopping")
	mustEnd(t, c)
	c.Close()
	must(t, await(t, "Serve", served))
}

func closeAborts(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	c, opened := v.open()
	must(t, opened.SendOwned(make([]byte, 16<<20), nil))
	must(t, v.engine.Close())
	mustReset(t, c)
	if reason := v.awaitClose(session.ReasonShutdown); reason.Unsent == 0 {
		t.Error("a closed engine's session has nothing unsent")
	}
	must(t, v.engine.Close())
}

// TestListenerCloseAtOnce ends engines whose acceptor has only just begun.
func TestListenerCloseAtOnce(t *testing.T) {
	p := newProbe()
	for range amount(5000, 500, 100) {
		e, err := engine.New(engine.WithLoops(2))
		must(t, err)
		_, err = e.Listen("tcp", "127.0.0.1:0", p)
		must(t, err)
		e.Stop()
		closed := make(chan error, 1)
		go func() { closed <- e.Shutdown(context.Background()) }()
		must(t, await(t, "Shutdown", closed))
	}
}

// drainSpreads: over real sockets and all loops, each of which sends its first session
// away early. Only what comes too soon is wrong: a busy machine is late.
func drainSpreads(t *testing.T, s setting) {
	const conns, spread = 20, 200 * time.Millisecond
	v := s.serve(t, newProbe(), engine.WithDrainSpread(spread))
	var streams []stream
	for range conns {
		c, _ := v.open()
		streams = append(streams, c)
	}
	ended := make(chan time.Duration, conns)
	began := time.Now()
	for _, c := range streams {
		go func() {
			_, _ = c.Read(make([]byte, 1))
			ended <- time.Since(began)
			c.Close()
		}()
	}
	shut := make(chan error, 2)
	for range 2 {
		go func() { shut <- v.engine.Shutdown(context.Background()) }()
	}
	var ends []time.Duration
	for range conns {
		ends = append(ends, await(t, "the end of a stream", ended))
		v.awaitClose(session.ReasonShutdown)
	}
	slices.Sort(ends) // who saw its end first need not be the first to tell
	for i, at := range ends {
		if due := spread * time.Duration(i-s.loops) / conns; at < due {
			t.Errorf("session %d was sent away after %v, its turn is after %v", i, at, due)
		}
	}
	must(t, await(t, "Shutdown", shut))
	must(t, await(t, "Shutdown", shut))
}

// drainSpreadExpires: an expired context aborts those whose turn has not come.
func drainSpreadExpires(t *testing.T, s setting) {
	const conns = 10
	v := s.serve(t, newProbe(), engine.WithDrainSpread(time.Hour))
	ctx, cancel := context.WithCancel(context.Background())
	shut := make(chan error, 1)
	var last stream // of those who are not the first of their loops, which may go at once
	begun := make(map[int]bool)
	for range conns {
		c, opened := v.open()
		loop := loopOf(opened, s.loops)
		if begun[loop] {
			last = c
		}
		begun[loop] = true
	}
	go func() { shut <- v.engine.Shutdown(ctx) }()
	until(t, "accepting stops", func() bool {
		c, err := net.DialTimeout(v.listener.Addr().Network(), v.listener.Addr().String(), patience)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	mustEcho(t, last, "served until it is its turn")
	cancel()
	if err := await(t, "Shutdown", shut); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v, want context.Canceled", err)
	}
	if n := v.engine.Stats().Closed[session.ReasonShutdown.String()]; n < conns {
		t.Errorf("%d sessions were closed for shutdown, want %d", n, conns)
	}
}
