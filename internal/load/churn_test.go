package load_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirnet/weir/internal/load"
)

func churnConfig(address string) load.ChurnConfig {
	return load.ChurnConfig{
		Address: address, AtOnce: 4, MessageSize: 64,
		WarmUp: 10 * time.Millisecond, Duration: 50 * time.Millisecond, Patience: 20 * time.Second,
	}
}

func TestChurnCountsWholeLives(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		for _, size := range []int{1, 64, 16 << 10} {
			for _, reset := range []bool{false, true} {
				s := startServer(t, network, echo)
				c := churnConfig(s.address)
				c.MessageSize, c.Reset = size, reset
				before, goroutines := descriptors(t), goleak.IgnoreCurrent()
				r := measured(t, &c.Duration, func() (load.ChurnResult, error) { return load.Churn(t.Context(), c, nil) },
					func(r load.ChurnResult) int64 { return r.Lives + int64(r.ErrorCount) })
				if err := r.Err(); err != nil {
					t.Fatalf("%s, %d bytes, reset %v: %v", network, size, reset, err)
				}
				if r.Lives == 0 || r.All < r.Lives || r.Verified != r.All*int64(size) || r.Duration < c.Duration {
					t.Errorf("%s, %d bytes, reset %v: %+v", network, size, reset, r)
				}
				if r.LivesPerSecond != float64(r.Lives)/r.Duration.Seconds() {
					t.Errorf("%v lives/s of %+v", r.LivesPerSecond, r)
				}
				if a, l := r.Answer, r.Life; a.P50 <= 0 || a.P50 > a.P99 || l.P50 < a.P50 || l.P99 > l.Max {
					t.Errorf("latencies %+v, %+v", a, l)
				}
				s.stop()
				goleak.VerifyNone(t, goroutines)
				if after := descriptors(t); after > before {
					t.Errorf("%d descriptors, %d before", after, before)
				}
			}
		}
	}
}

// An answer counts with its life: those of lives that are over too late are not among the
// answers of the measured time.
func TestChurnAnswersAreThoseOfItsLives(t *testing.T) {
	over := make(chan struct{})
	s := startServer(t, "tcp4", func(c net.Conn) { echo(c); <-over })
	var once sync.Once
	c := churnConfig(s.address)
	c.WarmUp = 0
	r, err := load.Churn(t.Context(), c, func(p load.Progress) {
		if p.Phase == load.Finishing {
			once.Do(func() { close(over) })
		}
	})
	if err := errors.Join(err, r.Err()); err != nil {
		t.Fatal(err)
	}
	if r.All != 4 || r.Lives != 0 || r.Answer != (load.Latency{}) || r.Life != (load.Latency{}) {
		t.Errorf("%+v; want four lives, none within the measured time", r)
	}
}

// What a server does wrong with one connection ends the run, and is told.
func TestChurnDetects(t *testing.T) {
	read := func(c net.Conn) []byte {
		p := make([]byte, 64)
		_, _ = io.ReadFull(c, p)
		return p
	}
	over := make(chan struct{}) // the run with a server that does not end in time
	for want, serve := range map[string]func(net.Conn){
		"other bytes":     func(c net.Conn) { p := read(c); p[63] ^= 1; _, _ = c.Write(p); silent(c) },
		"closed by":       func(c net.Conn) { _, _ = c.Write(read(c)[:5]) },
		"had not ended":   silent,
		"had not ended ":  func(c net.Conn) { _, _ = c.Write(read(c)); silent(c); <-over },
		"other bytes ":    func(c net.Conn) { _, _ = c.Write(append(read(c), 'x')); silent(c) },
		"connection rese": func(c net.Conn) { read(c); _ = c.(*net.TCPConn).SetLinger(0) },
	} {
		s := startServer(t, "tcp4", serve)
		c := churnConfig(s.address)
		if strings.Contains(want, "had not ended") { // else the fault ends the run
			c.Patience = 10 * time.Millisecond
		}
		r, err := load.Churn(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Err() == nil || !strings.Contains(r.Err().Error(), strings.TrimSpace(want)) {
			t.Errorf("want %q, got %v", want, r.Err())
		}
		if strings.HasSuffix(want, "ended ") {
			close(over)
		}
		s.stop()
	}
}

func TestChurnTellsThatNobodyListens(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	s.stop()
	r, err := load.Churn(t.Context(), churnConfig(s.address), nil)
	if err := errors.Join(err, r.Err()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestChurnValidateNamesTheField(t *testing.T) {
	for field, spoil := range map[string]func(*load.ChurnConfig){
		"address":      func(c *load.ChurnConfig) { c.Address = "localhost:1" },
		"at once":      func(c *load.ChurnConfig) { c.AtOnce = 0 },
		"message size": func(c *load.ChurnConfig) { c.MessageSize = 1 << 20 },
		"duration":     func(c *load.ChurnConfig) { c.Duration = 0 },
	} {
		c := churnConfig("127.0.0.1:1")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
