//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

const listeningLine = `^echo: listening on (\S+) `

// dial connects to an address as the program prints it.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	network, target := splitAddress(address)
	c, err := net.Dial(network, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// halfCloser is a TCP or unix connection.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func TestServeEchoesBytes(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "unix:" + filepath.Join(t.TempDir(), "echo.sock")} {
		for _, mode := range []string{"pool", "inline", "single"} {
			t.Run(address[:4]+" "+mode, func(t *testing.T) {
				p := start(t, "-addr", address, "-mode", mode, "-log", "off")
				bound := p.await(listeningLine)
				if !strings.Contains(p.read.String(), mode) || !strings.Contains(p.read.String(), "open files") {
					t.Errorf("mode or limit is missing in %q", p.read.String())
				}
				c := dial(t, bound).(halfCloser)
				sent := make([]byte, 2<<20)
				_, _ = rand.Read(sent) // never fails
				go func() {
					_, _ = c.Write(sent) // if it fails, too little comes back
					_ = c.CloseWrite()
				}()
				if got := readAll(t, c); !bytes.Equal(got, sent) {
					t.Errorf("%d other bytes came back for %d", len(got), len(sent))
				}
				c.Close()

				rest := p.end(os.Interrupt, 0)
				mustTell(t, rest, `^echo: 1 sessions, 2.0 MiB in, 2.0 MiB out$`, `^peer_closed +1$`,
					`^aborted at the deadline +0 `, `^unsent +0 B `, `^unhandled +0 B `)
				if path, ok := strings.CutPrefix(bound, "unix:"); ok {
					if _, err := os.Lstat(path); !os.IsNotExist(err) {
						t.Errorf("the socket file is left: %v", err)
					}
				}
			})
		}
	}
}

// mustTell wants lines that match, in this order.
func mustTell(t *testing.T, text string, patterns ...string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, pattern := range patterns {
		wanted := regexp.MustCompile(pattern)
		at := slices.IndexFunc(lines, wanted.MatchString)
		if at < 0 {
			t.Errorf("no line like %q, or not in its place, in\n%s", pattern, text)
			continue
		}
		lines = lines[at+1:]
	}
}

// Who has not closed at the deadline is aborted, and the table at the end says so.
func TestTermTellsWhatWasLost(t *testing.T) {
	p := start(t, "-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0", "-drain", "50ms")
	debug := p.await(`debug on (\S+)/`)
	address := p.await(listeningLine)
	leaves, stays := dial(t, address), dial(t, address)
	if _, err := leaves.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	leaves.Close()
	awaitStats(t, debug, func(st engine.Stats) bool { return st.Closed["peer_closed"]+st.Closed["peer_reset"] == 1 })
	var writer sync.WaitGroup
	writer.Go(func() {
		block := make([]byte, 64<<10)
		for {
			if _, err := stays.Write(block); err != nil {
				return
			}
		}
	})
	awaitStats(t, debug, func(st engine.Stats) bool { return st.Queued >= 256<<10 })
	rest := p.end(syscall.SIGTERM, exitFailed)
	writer.Wait()
	mustTell(t, rest, `draining`, `^echo: 2 sessions, `, `^closed because +sessions$`, `^shutdown +1$`,
		`^aborted at the deadline +1 `, `^unsent +[0-9.]+ [KM]iB `, `^unhandled `)
	if !strings.Contains(p.errs.String(), "1 sessions aborted") {
		t.Errorf("standard error: %q", p.errs.String())
	}
	if event := statsEvent(t, p.errs.Bytes()); event.Unsent == nil || *event.Unsent == 0 {
		t.Errorf("logged %q", p.errs.String())
	}
}

// statsEvent is the last line that the engine logs.
func statsEvent(t *testing.T, log []byte) (event struct {
	BytesOut uint64 `json:"bytes_out"`
	Unsent   *uint64
}) {
	t.Helper()
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(`"message":"stats"`)) {
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatal(err)
			}
			return event
		}
	}
	t.Fatalf("no stats event in %q", log)
	return event
}

// What the server has read before SIGTERM is answered, though the client only
// begins to read afterwards.
func TestTermDrains(t *testing.T) {
	p := start(t, "-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0")
	debug := p.await(`debug on (\S+)/`)
	c := dial(t, p.await(listeningLine)).(halfCloser)

	block := make([]byte, 65521) // a prime, so that a lost or doubled part shows
	_, _ = rand.Read(block)
	var writer sync.WaitGroup
	writer.Go(func() { // until the deadline is brought forward below
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	st := awaitStats(t, debug, func(st engine.Stats) bool { return st.Queued >= 256<<10 })

	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await("draining")
	if err := c.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	writer.Wait()
	got := readAll(t, c)
	c.Close()
	p.awaitEnd(0)

	if uint64(len(got)) < st.Engine.BytesIn {
		t.Errorf("%d bytes came back, but %d were read before the signal", len(got), st.Engine.BytesIn)
	}
	for rest := got; len(rest) > 0; {
		n := min(len(rest), len(block))
		if !bytes.Equal(rest[:n], block[:n]) {
			t.Fatalf("other bytes came back near %d", len(got)-len(rest))
		}
		rest = rest[n:]
	}
	if event := statsEvent(t, p.errs.Bytes()); event.BytesOut != uint64(len(got)) || event.Unsent == nil || *event.Unsent != 0 {
		t.Errorf("%d bytes came back; logged %q", len(got), p.errs.String())
	}
}

// A second signal ends the process at once, though a client would still have time.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	p := start(t, "-addr", "127.0.0.1:0", "-log", "off")
	c := dial(t, p.await(listeningLine))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.await("draining")
	p.end(os.Interrupt, -1) // ended by the signal
	if status := p.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v", status)
	}
}

// The engine may queue less than this client asks for. What comes back has no hole.
func TestEchoClosesRatherThanLeaveOut(t *testing.T) {
	e, err := engine.New(engine.WithLogger(engine.NoLog{}), engine.WithOutboundTotal(100<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l, err := e.Listen("tcp", "127.0.0.1:0", session.HandlerFunc(echo))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, l.Addr().String()).(halfCloser)
	sent := make([]byte, 64<<20)
	_, _ = rand.Read(sent)
	var writer sync.WaitGroup
	writer.Go(func() {
		_, _ = c.Write(sent) // fails if the server gives up waiting for the end
		_ = c.CloseWrite()
	})
	draining := false
	for deadline := time.Now().Add(patience); !draining; {
		e.Sessions(func(s *session.Session) bool {
			draining = s.State() == session.Draining
			return false
		})
		if time.Now().After(deadline) {
			t.Fatalf("the limit is not reached: %+v", e.Stats())
		}
	}
	got := readAll(t, c)
	writer.Wait()
	c.Close()
	if len(got) == 0 || len(got) == len(sent) {
		t.Errorf("%d of %d bytes came back", len(got), len(sent))
	}
	if !bytes.HasPrefix(sent, got) {
		t.Errorf("%d bytes came back with a hole", len(got))
	}
	for deadline := time.Now().Add(patience); e.Stats().Closed["over_limit"] != 1; {
		if time.Now().After(deadline) {
			t.Fatalf("closed: %v", e.Stats().Closed)
		}
	}
}
