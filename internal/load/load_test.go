package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirnet/weir/internal/load"
)

// config is a short load; tests change what they are about.
func config(address string) load.Config {
	return load.Config{
		Address:     address,
		Connections: 4,
		MessageSize: 64,
		Depth:       1,
		WarmUp:      10 * time.Millisecond,
		Duration:    50 * time.Millisecond,
		Patience:    20 * time.Second,
		Reset:       true,
	}
}

func TestRunVerifiesEveryByte(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6", "unix"} {
		for _, size := range []int{1, 64, 1000, 64 << 10, 256 << 10} {
			for _, depth := range []int{1, 16} {
				t.Run(fmt.Sprintf("%s/%d/%d", network, size, depth), func(t *testing.T) {
					s := startServer(t, network, echo)
					c := config(s.address)
					c.MessageSize, c.Depth = size, depth
					checkClean(t, c, runEcho(t, &c))
				})
			}
		}
	}
}

// runEcho runs a load until it has measured something; what has failed has ended it.
func runEcho(t *testing.T, c *load.Config) load.Result {
	t.Helper()
	return measured(t, &c.Duration, func() (load.Result, error) { return load.Run(t.Context(), *c, nil) },
		func(r load.Result) int64 { return r.Messages + int64(r.ErrorCount) })
}

// checkClean holds what every run against a faithful server must show.
func checkClean(t *testing.T, c load.Config, r load.Result) {
	t.Helper()
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if r.Messages == 0 || r.Unanswered != 0 {
		t.Errorf("%d messages, %d unanswered", r.Messages, r.Unanswered)
	}
	if want := r.Messages * int64(c.MessageSize); r.Bytes != want {
		t.Errorf("%d bytes, want %d", r.Bytes, want)
	}
	if r.Verified < r.Bytes || r.Verified%int64(c.MessageSize) != 0 {
		t.Errorf("%d bytes verified of %d, in messages of %d", r.Verified, r.Bytes, c.MessageSize)
	}
	if r.Duration < c.Duration {
		t.Errorf("measured for %v, want at least %v", r.Duration, c.Duration)
	}
	if got, want := r.RoundTripsPerSecond, float64(r.Messages)/r.Duration.Seconds(); got != want {
		t.Errorf("%v round trips/s, want %v", got, want)
	}
	l := r.Latency
	if l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max {
		t.Errorf("percentiles out of order: %+v", l)
	}
}

func TestRunManyConnections(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	c := config(s.address)
	c.Connections = 500
	checkClean(t, c, runEcho(t, &c))
}

func TestRunDetectsCorruption(t *testing.T) {
	tests := map[string]func(c net.Conn, p []byte) []byte{
		"a flipped bit": func(_ net.Conn, p []byte) []byte { p[len(p)-1] ^= 1; return p },
		"swapped halves": func(_ net.Conn, p []byte) []byte {
			return append(append([]byte(nil), p[len(p)/2:]...), p[:len(p)/2]...)
		},
		"a byte too many": func(_ net.Conn, p []byte) []byte { return append(p, 'x') },
		"a byte left out": func(_ net.Conn, p []byte) []byte { return p[1:] },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, "tcp4", func(c net.Conn) {
				p := make([]byte, 64)
				if _, err := io.ReadFull(c, p); err != nil {
					return
				}
				if _, err := c.Write(p); err != nil {
					return
				}
				if _, err := io.ReadFull(c, p); err != nil {
					return
				}
				if _, err := c.Write(change(c, p)); err != nil {
					return
				}
				silent(c)
			})
			c := config(s.address)
			c.Duration = time.Minute // failed connections end the run
			r, err := load.Run(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.ErrorCount != c.Connections || len(r.Errors) != c.Connections {
				t.Fatalf("want an error for each of %d connections: %d, %q", c.Connections, r.ErrorCount, r.Errors)
			}
			if !strings.Contains(r.Errors[0], "wrong byte") && !strings.Contains(r.Errors[0], "bytes came back where") {
				t.Errorf("error does not tell what was wrong: %q", r.Errors[0])
			}
			if r.Verified < 64*int64(c.Connections) {
				t.Errorf("%d bytes verified; the first messages were sound", r.Verified)
			}
		})
	}
}

func TestRunDetectsBytesOfAnotherConnection(t *testing.T) {
	first, second := make(chan []byte), make(chan []byte)
	s := startServer(t, "tcp4", func(c net.Conn) {
		p := make([]byte, 64)
		if _, err := io.ReadFull(c, p); err != nil {
			return
		}
		var other []byte
		select {
		case first <- p:
			other = <-second
		case other = <-first:
			second <- p
		case <-t.Context().Done():
		}
		_, _ = c.Write(other)
		silent(c)
	})
	c := config(s.address)
	c.Connections = 2
	c.Duration = time.Minute // failed connections end the run
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verified != 0 || !strings.Contains(fmt.Sprint(r.Errors), "wrong byte") {
		t.Errorf("verified %d, errors %q", r.Verified, r.Errors)
	}
}

func TestRunReportsAServerThatCloses(t *testing.T) {
	s := startServer(t, "tcp4", func(c net.Conn) {
		p := make([]byte, 64)
		_, _ = io.ReadFull(c, p)
	})
	c := config(s.address)
	c.Connections = 20
	c.Duration = time.Minute // the run ends with its last connection
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.ErrorCount != 20 || len(r.Errors) >= 20 {
		t.Fatalf("want 20 errors, not all of them in words: %d, %q", r.ErrorCount, r.Errors)
	}
	if !strings.Contains(r.Err().Error(), "closed by the server") {
		t.Errorf("got %v", r.Err())
	}
}

func TestRunEndsWithoutAnswers(t *testing.T) {
	s := startServer(t, "tcp4", silent)
	c := config(s.address)
	c.Depth = 3
	c.Patience = 10 * time.Millisecond
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages != 0 || r.Unanswered != 12 || r.ErrorCount != 1 {
		t.Errorf("%d messages, %d unanswered, errors %q", r.Messages, r.Unanswered, r.Errors)
	}
}

// A server that stops reading fills both socket buffers; what comes back after
// that must still be whole.
func TestRunSurvivesFullSocketBuffers(t *testing.T) {
	s := startServer(t, "tcp4", func(c net.Conn) {
		_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
		echo(c)
	})
	c := config(s.address)
	c.MessageSize = 3 << 20
	c.Depth = 2
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if want := int64(c.Connections * c.Depth * c.MessageSize); r.Verified < want {
		t.Errorf("%d bytes verified, want at least the first windows, %d", r.Verified, want)
	}
}

func TestRunTellsProgress(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	c := config(s.address)
	c.Duration = 1900 * time.Millisecond // told of once in between, also if that is late
	var told []load.Progress
	if _, err := load.Run(t.Context(), c, func(p load.Progress) { told = append(told, p) }); err != nil {
		t.Fatal(err)
	}
	var phases []load.Phase
	for _, p := range told {
		phases = append(phases, p.Phase)
	}
	want := []load.Phase{load.WarmingUp, load.Measuring, load.Measuring, load.Finishing}
	if !reflect.DeepEqual(phases, want) {
		t.Fatalf("phases %v, want %v", phases, want)
	}
	if told[2].Elapsed < time.Second || told[2].Messages <= told[1].Messages {
		t.Errorf("after a second: %+v, after %+v", told[2], told[1])
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	c := config(s.address)
	c.Duration = time.Hour
	c.WarmUp = 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := load.Run(ctx, c, func(p load.Progress) {
		if p.Phase == load.Measuring && p.Elapsed > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if r.Messages == 0 || r.Duration == 0 || r.ErrorCount != 0 {
		t.Errorf("what was measured so far is missing: %+v", r)
	}
}

func TestRunEndsWithItsContextWhileConnecting(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load.Run(ctx, config(s.address), nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestRunReportsADialThatFails(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	s.stop()
	_, err := load.Run(t.Context(), config(s.address), nil)
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		t.Fatalf("got %v", err)
	}
}

func TestRunLeavesNothingBehind(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	c := config(s.address)
	c.Connections = 50
	before, goroutines := descriptors(t), goleak.IgnoreCurrent()
	if _, err := load.Run(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	s.quiet(t)
	goleak.VerifyNone(t, goroutines)
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	tests := map[string]func(*load.Config){
		"address":       func(c *load.Config) { c.Address = "nowhere" },
		"path":          func(c *load.Config) { c.Address = "unix:" },
		"connections":   func(c *load.Config) { c.Connections = 0 },
		"message size":  func(c *load.Config) { c.MessageSize = -1 },
		"depth must":    func(c *load.Config) { c.Depth = 0 },
		"× depth":       func(c *load.Config) { c.Connections, c.Depth = 100_000, 4096 },
		"rate must":     func(c *load.Config) { c.Rate = -1 },
		"warm-up":       func(c *load.Config) { c.WarmUp = -1 },
		"duration must": func(c *load.Config) { c.Duration = 0 },
		"patience":      func(c *load.Config) { c.Patience = -1 },
	}
	for field, spoil := range tests {
		t.Run(field, func(t *testing.T) {
			c := config("127.0.0.1:1")
			if err := c.Validate(); err != nil {
				t.Fatalf("sound before it is spoilt: %v", err)
			}
			spoil(&c)
			err := c.Validate()
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("got %v", err)
			}
			if _, runErr := load.Run(t.Context(), c, nil); runErr == nil {
				t.Error("Run took it")
			}
		})
	}
}

func TestResultSurvivesJSON(t *testing.T) {
	s := startServer(t, "tcp4", echo)
	r, err := load.Run(t.Context(), config(s.address), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back load.Result
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, back) {
		t.Errorf("%+v came back as %+v", r, back)
	}
}
