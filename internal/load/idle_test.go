package load_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/weirnet/weir/internal/load"
)

func TestIdleGrowsInSteps(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6", "unix"} {
		t.Run(network, func(t *testing.T) {
			s := startServer(t, network, echo)
			idle, err := load.NewIdle(s.address)
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close()
			for _, n := range []int{10, 40, 40, 100} {
				if err := idle.Grow(t.Context(), n); err != nil {
					t.Fatal(err)
				}
				if idle.Len() != n {
					t.Fatalf("holds %d, want %d", idle.Len(), n)
				}
			}
			took, err := idle.Probe(t.Context())
			if err != nil || took <= 0 {
				t.Fatalf("probe: %v, %v", took, err)
			}
			if n := idle.Disturbed(); n != 0 {
				t.Errorf("%d of silent connections were disturbed", n)
			}
		})
	}
}

func TestIdleNoticesLostConnections(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	idle, err := load.NewIdle(s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := idle.Grow(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	s.stop()
	until(t, "20 connections are noticed as lost", func() bool { return idle.Disturbed() == 20 }) // the kernel may be late
	if _, err := idle.Probe(t.Context()); err == nil {
		t.Error("a probe passed without a server")
	}
}

func TestIdleDetectsAWrongEcho(t *testing.T) {
	s := startServer(t, "tcp4", func(c net.Conn) {
		_, _ = c.Write(make([]byte, 64))
		silent(c)
	})
	idle, err := load.NewIdle(s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := idle.Grow(t.Context(), 1); err == nil {
		t.Error("zeros were taken for an echo")
	}
}

func TestIdleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := startServer(t, "tcp4", func(c net.Conn) {
		cancel()
		silent(c)
	})
	idle, err := load.NewIdle(s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := idle.Grow(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
