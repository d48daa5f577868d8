package load_test

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/load"
)

func openConfig(address string) load.Config {
	c := config(address)
	c.Depth, c.Rate = 64, 2000
	return c
}

func TestOpenLoopSendsAtItsRate(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		s := startServer(t, network, echo)
		c := openConfig(s.address)
		c.Connections, c.Duration = 3, 500*time.Millisecond
		began, lasted := time.Now(), time.Duration(0)
		r, err := load.Run(t.Context(), c, func(p load.Progress) {
			if p.Phase == load.Finishing && p.Elapsed == 0 {
				lasted = time.Since(began)
			}
		})
		if err := errors.Join(err, r.Err()); err != nil {
			t.Fatal(err)
		}
		if r.Rate != 2000 || r.Unanswered != 0 || r.Verified%64 != 0 || r.Latency.P50 <= 0 {
			t.Errorf("%+v", r)
		}
		// What a busy machine delays is still due, and sent: in all the rate holds.
		all, want, most := float64(r.Verified)/64, 2000*(c.WarmUp+c.Duration).Seconds(), 2000*lasted.Seconds()+1
		if all < 0.9*want || all > most {
			t.Errorf("%v messages, want about %v, at most %v", all, want, most)
		}
	}
}

// stalling echoes, but all of its connections stand still once, from when that many
// messages have come, for so long.
func stalling(after int64, pause time.Duration) func(net.Conn) {
	var came atomic.Int64
	until := make(chan struct{})
	return func(c net.Conn) {
		p := make([]byte, 64)
		for {
			if _, err := io.ReadFull(c, p); err != nil {
				return
			}
			switch n := came.Add(1); {
			case n == after:
				time.Sleep(pause)
				close(until)
			case n > after:
				<-until
			}
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}
}

// A server that stands still for half of the time cannot hide it from an open loop: half
// of the messages were due meanwhile. A closed loop has one message of each connection
// that saw it.
func TestOpenLoopSeesAStall(t *testing.T) {
	const pause = 300 * time.Millisecond
	run := func(rate float64, depth int, length time.Duration) load.Result {
		s := startServer(t, "tcp4", stalling(100, pause))
		c := openConfig(s.address)
		c.Rate, c.Depth, c.WarmUp, c.Duration = rate, depth, 0, length
		r, err := load.Run(t.Context(), c, nil)
		if err := errors.Join(err, r.Err()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	open := run(1000, 4, 2*pause) // the windows hold 16 of the 300 that become due in the pause
	if open.Latency.P90 < pause/2 {
		t.Errorf("the open loop saw %+v", open.Latency)
	}
	closed := run(0, 1, 2*pause)
	for length := 4 * pause; closed.Messages < 1000 && length < patience; length *= 2 {
		closed = run(0, 1, length) // a busy machine has so few that four are more than one of a hundred
	}
	if closed.Latency.P99 > pause/2 {
		t.Errorf("the closed loop saw %+v in %d messages", closed.Latency, closed.Messages)
	}
}

// What the server never answers is told, also what was due and could not be sent.
func TestOpenLoopCountsWhatIsUnanswered(t *testing.T) {
	s := startServer(t, "tcp4", silent)
	c := openConfig(s.address)
	c.Depth, c.Patience = 2, 10*time.Millisecond
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages != 0 || r.ErrorCount != 1 || r.Unanswered <= int64(c.Connections*c.Depth) {
		t.Errorf("%+v", r)
	}
}

func TestOpenLoopDetectsCorruption(t *testing.T) {
	s := startServer(t, "tcp4", func(c net.Conn) {
		p := make([]byte, 64)
		_, _ = io.ReadFull(c, p)
		p[10] ^= 1
		_, _ = c.Write(p)
		silent(c)
	})
	c := openConfig(s.address)
	c.Duration = time.Minute // failed connections end the run
	r, err := load.Run(t.Context(), c, nil)
	if err != nil || r.ErrorCount != c.Connections {
		t.Errorf("%v, %+v", err, r)
	}
}
