package engine_test

// What an echo costs over a real socket, in time and in allocations of the whole
// process. The client is package net, which allocates nothing either.

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			trip := echoTrip(b, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				trip()
			}
		})
	}
}

// TestEchoAllocatesNothing counts the allocations of the process during many
// round trips. The runtime makes a few of its own.
func TestEchoAllocatesNothing(t *testing.T) {
	if raceEnabled || debugBuild {
		t.Log("not checked: this build allocates to check other things")
		return
	}
	const trips = 2000
	for _, size := range []int{64, 64 << 10} {
		trip := echoTrip(t, size)
		for range 100 { // buffers, goroutines' stacks
			trip()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range trips {
			trip()
		}
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > trips/20 {
			t.Errorf("%d bytes: %d allocations in %d round trips", size, n, trips)
		} else {
			t.Logf("%d bytes: %d allocations in %d round trips", size, n, trips)
		}
	}
}

// echoTrip starts an echo server, connects, and returns a function that sends
// size bytes and waits for them.
func echoTrip(tb testing.TB, size int) func() {
	e, err := engine.New(engine.WithLogger(engine.NoLog{}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	l, err := e.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(func(s *session.Session, f session.Frame) {
		if err := s.Send(f.Bytes()); err != nil {
			tb.Error(err)
		}
	}))
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	out, in := make([]byte, size), make([]byte, size)
	return func() {
		if _, err := conn.Write(out); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(conn, in); err != nil {
			tb.Fatal(err)
		}
	}
}
