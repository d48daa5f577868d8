package engine_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// Ids and loops: who is who, and who lives where.

func deadIDFindsNobody(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	dead := make(map[uint64]bool)
	for range 20 { // each uses the slots of those before again
		c, opened := v.open()
		id := opened.ID()
		if dead[id] {
			t.Fatalf("id %#x is given out again", id)
		}
		if found, err := v.engine.Session(id); err != nil || found != opened {
			t.Errorf("Session(%#x) = %p, %v; want %p", id, found, err, opened)
		}
		for old := range dead {
			if found, err := v.engine.Session(old); !errors.Is(err, engine.ErrNotFound) || found != nil {
				t.Errorf("Session of dead id %#x = %v, %v; want ErrNotFound", old, found, err)
			}
		}
		mustEcho(t, c, "x")
		c.Close()
		v.awaitClose(session.ReasonPeerClosed)
		until(t, "forgotten", func() bool { return v.engine.Stats().Sessions == 0 })
		dead[id] = true
	}
	for _, id := range []uint64{0, 1, 1 << 23, 1<<64 - 1} {
		if _, err := v.engine.Session(id); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("Session(%#x): %v, want ErrNotFound", id, err)
		}
	}
}

// kickByID closes sessions by their ids, and counts those that are left.
func kickByID(t *testing.T, s setting) {
	v := s.serve(t, newProbe())
	rude := errors.New("rude")
	var clients []stream
	var ids []uint64
	for range 5 {
		c, opened := v.open()
		clients, ids = append(clients, c), append(ids, opened.ID())
	}
	for i, id := range ids {
		if n := v.engine.Count(); n != len(ids)-i {
			t.Errorf("Count is %d with %d sessions", n, len(ids)-i)
		}
		if i%2 == 0 {
			must(t, v.engine.Kick(id, rude))
		} else {
			must(t, v.engine.Kick(id, session.ReasonProtocolError))
		}
		mustEnd(t, clients[i])
		if err := v.engine.Kick(id, nil); !errors.Is(err, session.ErrClosed) && !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("Kick of a session that was kicked: %v", err)
		}
		clients[i].Close()
		if i%2 == 0 {
			if reason := v.awaitClose(session.ReasonLocalClose); !errors.Is(reason, rude) {
				t.Errorf("OnClose got %v, not what Kick was given", reason)
			}
		} else {
			v.awaitClose(session.ReasonProtocolError)
		}
		if err := v.engine.Kick(id, nil); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("Kick of a closed session: %v, want ErrNotFound", err)
		}
		until(t, "counted out", func() bool { return v.engine.Count() == len(ids)-i-1 })
	}
}

// TestIDsNeverRepeat churns through connections. They end with RST, which leaves
// no port behind that would have to wait.
func TestIDsNeverRepeat(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			v := serve(t, network, newProbe(), engine.WithLoops(2))
			addr := v.listener.Addr()
			seen := make(map[uint64]bool)
			for range amount(10_000, 10_000, 1000) {
				c, err := net.Dial(addr.Network(), addr.String())
				must(t, err)
				opened := await(t, "OnOpen", v.probe.opened)
				if seen[opened.ID()] {
					t.Fatalf("id %#x is given out again", opened.ID())
				}
				seen[opened.ID()] = true
				reset(t, c.(stream))
			}
		})
	}
}

// loopOf tells a session's loop by its id: place = slot × loops + loop.
func loopOf(s *session.Session, loops int) int { return int(s.ID() & (1<<24 - 1) % uint64(loops)) }

// spread dials conns times, one after the other, and counts sessions by loop.
func (v *server) spread(conns, loops int) (perLoop []int, streams []stream) {
	v.t.Helper()
	perLoop = make([]int, loops)
	for range conns {
		c, opened := v.open()
		perLoop[loopOf(opened, loops)]++
		streams = append(streams, c)
	}
	return perLoop, streams
}

func TestPlacement(t *testing.T) {
	const loops = 4
	even := fmt.Sprint([]int{10, 10, 10, 10})
	t.Run("round robin", func(t *testing.T) {
		v := serve(t, "tcp4", newProbe(), engine.WithLoops(loops))
		if got, _ := v.spread(40, loops); fmt.Sprint(got) != even {
			t.Errorf("sessions per loop: %v, want %v", got, even)
		}
	})
	t.Run("least sessions", func(t *testing.T) {
		v := serve(t, "tcp4", newProbe(), engine.WithLoops(loops), engine.WithPlacement(engine.LeastSessions))
		got, streams := v.spread(40, loops)
		if fmt.Sprint(got) != even {
			t.Errorf("sessions per loop: %v, want %v", got, even)
		}
		for _, c := range streams[:4] { // on one loop each, whichever
			c.Close()
			v.awaitClose(session.ReasonPeerClosed)
		}
		until(t, "gone", func() bool { return v.engine.Stats().Sessions == 36 })
		if again, _ := v.spread(4, loops); fmt.Sprint(again) != fmt.Sprint([]int{1, 1, 1, 1}) {
			t.Errorf("new sessions per loop: %v, want one each", again)
		}
	})
	t.Run("source hash", func(t *testing.T) {
		v := serve(t, "tcp4", newProbe(), engine.WithLoops(loops), engine.WithPlacement(engine.SourceHash))
		got, _ := v.spread(20, loops)
		used := 0
		for _, n := range got {
			if n > 0 {
				used++
			}
		}
		if used != 1 {
			t.Errorf("sessions of one address per loop: %v, want all on one", got)
		}
		if runtime.GOOS != "linux" {
			t.Log("only Linux has the addresses 127.0.0.2 and on: not tried with several")
			return
		}
		mustUseAllLoops(t, v, loops)
	})
	t.Run("reuse port", func(t *testing.T) {
		v := serve(t, "tcp4", newProbe(), engine.WithLoops(loops), engine.WithReusePort())
		got, streams := v.spread(100, loops)
		for _, c := range streams {
			mustEcho(t, c, "x")
		}
		if runtime.GOOS != "linux" {
			t.Logf("sessions per loop: %v; only Linux promises to spread them", got)
			return
		}
		for i, n := range got {
			if n == 0 {
				t.Errorf("loop %d got none of 100 sessions: %v", i, got)
			}
		}
	})
}

// mustUseAllLoops dials from many addresses, twice each: the same address must
// meet the same loop, and together they must meet all.
func mustUseAllLoops(t *testing.T, v *server, loops int) {
	t.Helper()
	used := make(map[int]bool)
	for i := range 64 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i))}}
		var first int
		for try := range 2 {
			c, err := d.Dial("tcp4", v.listener.Addr().String())
			must(t, err)
			t.Cleanup(func() { c.Close() })
			loop := loopOf(await(t, "OnOpen", v.probe.opened), loops)
			if try == 0 {
				first = loop
			}
			if loop != first {
				t.Errorf("address %v met loop %d, then %d", d.LocalAddr, first, loop)
			}
			used[loop] = true
		}
	}
	if len(used) != loops {
		t.Errorf("64 addresses met %d of %d loops", len(used), loops)
	}
}
