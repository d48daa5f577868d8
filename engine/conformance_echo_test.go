package engine_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// Echo: every byte comes back, in order, whatever the sizes.

func echoSingleBytes(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	c := v.dial()
	data := patternBytes(1, amount(20_000, 2000, 500))
	go func() {
		for i := range data {
			if _, err := c.Write(data[i : i+1]); err != nil {
				return // the reader sees that bytes are missing
			}
		}
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Fatalf("%d bytes came back, and not the %d sent", len(got), len(data))
	}
	v.awaitClose(session.ReasonPeerClosed)
}

func echoManyConnections(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	mustEchoMany(t, v, 64, amount[int64](2<<20, 256<<10, 64<<10))
}

// mustEchoMany has conns connections echo n bytes each at the same time.
func mustEchoMany(t *testing.T, v *server, conns int, n int64) {
	t.Helper()
	results := make(chan error, conns)
	for i := range conns {
		c := v.dial()
		go func() { results <- echoed(c, uint64(i), n) }()
	}
	for range conns {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	for range conns {
		v.awaitClose(session.ReasonPeerClosed)
	}
	if st := v.engine.Stats(); st.BytesIn != uint64(conns)*uint64(n) {
		t.Errorf("Stats.BytesIn is %d, want %d", st.BytesIn, int64(conns)*n)
	}
}

// TestEchoVolume is what the table does with less: 64 connections × 32 MiB, or a
// sixteenth of it.
func TestEchoVolume(t *testing.T) {
	for name, s := range map[string]setting{
		"inline over IPv4":   {network: "tcp4", opts: []engine.Option{engine.WithLoops(2)}},
		"single over a file": {network: "unix", opts: []engine.Option{engine.WithMode(engine.Single)}},
	} {
		t.Run(name, func(t *testing.T) {
			mustEchoMany(t, s.serve(t, newProbe()), 64, amount[int64](32<<20, 2<<20, 128<<10))
		})
	}
}

// TestEchoOneLongStream sends 1 GiB over one connection, or 1/16 of it.
func TestEchoOneLongStream(t *testing.T) {
	v := serve(t, "tcp4", newProbe())
	mustEchoMany(t, v, 1, amount[int64](1<<30, 64<<20, 8<<20))
}

func echoLargeMessages(t *testing.T, s setting) {
	const size = 4 << 20
	messages := amount(16, 2, 1)
	var gathered []byte // one session only
	p := newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) {
		if gathered = append(gathered, f.Bytes()...); len(gathered) == size {
			if err := s.Send(gathered); err != nil {
				t.Errorf("Send of %d bytes: %v", size, err)
			}
			gathered = gathered[:0]
		}
	}
	v := s.serve(t, p)
	c := v.dial()
	for i := range messages {
		data := patternBytes(uint64(i), size)
		_, err := c.Write(data)
		must(t, err)
		got := make([]byte, size)
		_, err = io.ReadFull(c, got)
		must(t, err)
		if !bytes.Equal(got, data) {
			t.Fatalf("message %d came back changed", i)
		}
	}
}

func halfCloseAnswered(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	if err := echoed(v.dial(), 1, 4<<20); err != nil {
		t.Fatal(err)
	}
	v.awaitClose(session.ReasonPeerClosed)
}

func addressesKnown(t *testing.T, s setting) {
	p := newProbe()
	locals := make(chan string, 1)
	p.onOpen = func(s *session.Session) { locals <- s.LocalAddr().String() }
	v := s.serve(t, p)
	c, opened := v.open()
	if got, want := await(t, "LocalAddr", locals), v.listener.Addr().String(); got != want {
		t.Errorf("LocalAddr in OnOpen is %s, want %s", got, want)
	}
	want := c.LocalAddr().String()
	if s.network == "unix" {
		want = ""
	}
	if got := opened.RemoteAddr(); got.Network() != c.LocalAddr().Network() || got.String() != want {
		t.Errorf("RemoteAddr is %s %q, want %s %q", got.Network(), got, c.LocalAddr().Network(), want)
	}
	c.Close()
	v.awaitClose(session.ReasonPeerClosed)
	if got := opened.RemoteAddr().String(); got != want {
		t.Errorf("RemoteAddr after close is %q, want %q", got, want)
	}
	if got := opened.LocalAddr(); got != nil {
		t.Errorf("LocalAddr after close is %v, want nil", got)
	}
}
