package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/weirnet/weir/session"
)

// loggers are both adapters, writing JSON lines to w.
func loggers(w io.Writer, least Level) map[string]Logger {
	return map[string]Logger{
		"zerolog":     Zerolog(zerolog.New(w).Level(zerologLevel(least))),
		"new zerolog": NewZerolog(w, least),
		"slog":        Slog(slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.Level(least)}))),
	}
}

// lineOf parses the only line that was written.
func lineOf(t *testing.T, out *bytes.Buffer) map[string]any {
	t.Helper()
	text := out.String()
	out.Reset()
	if strings.Count(text, "\n") != 1 {
		t.Fatalf("want one line, got %q", text)
	}
	line := map[string]any{}
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if line["msg"] != nil { // slog's name for it
		line["message"] = line["msg"]
	}
	return line
}

func wantFields(t *testing.T, line map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if line[key] != value {
			t.Errorf("field %s is %v (%T), want %v", key, line[key], line[key], value)
		}
	}
}

func TestLoggersWriteFields(t *testing.T) {
	var out bytes.Buffer
	for name, l := range loggers(&out, Debug) {
		t.Run(name, func(t *testing.T) {
			for level, word := range map[Level]string{Debug: "debug", Info: "info", Warn: "warn", Error: "error"} {
				l.Log(level, "something", []Field{Text("text", "a b"), Number("number", -3), Number("zero", 0)})
				line := lineOf(t, &out)
				wantFields(t, line, map[string]any{"message": "something", "text": "a b", "number": -3.0, "zero": 0.0})
				if got, _ := line["level"].(string); !strings.EqualFold(got, word) {
					t.Errorf("level %q, want %q", got, word)
				}
			}
		})
	}
}

func TestLoggersKeepLevels(t *testing.T) {
	all := []Level{Debug, Info, Warn, Error}
	for i, least := range all {
		var out bytes.Buffer
		for name, l := range loggers(&out, least) {
			for j, level := range all {
				if got := l.Enabled(level); got != (j >= i) {
					t.Errorf("%s from %d on: Enabled(%d) is %v", name, least, level, got)
				}
				l.Log(level, "event", nil)
				if got := out.Len() > 0; got != (j >= i) {
					t.Errorf("%s from %d on: Log(%d) wrote %v", name, least, level, got)
				}
				out.Reset()
			}
		}
	}
	if (NoLog{}).Enabled(Error) {
		t.Error("NoLog is enabled")
	}
	NoLog{}.Log(Error, "nothing", nil)
}

// What a peer can put into a text must not reach a terminal as it is.
func TestLoggersQuoteControlBytes(t *testing.T) {
	const evil = "\x1b[2J\r\n\x00\x7f fake=line"
	var out bytes.Buffer
	for name, l := range loggers(&out, Debug) {
		l.Log(Warn, "event", []Field{Text("text", evil)})
		text := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsAny(text, "\x1b\r\n\x00") {
			t.Errorf("%s: control bytes in %q", name, text)
		}
		if got := lineOf(t, &out)["text"]; got != evil {
			t.Errorf("%s: reads back as %q", name, got)
		}
	}
}

// recorder is a Logger that keeps the lines.
type recorder struct {
	least Level
	mu    sync.Mutex
	names []string
	lines []map[string]any
}

func (r *recorder) Enabled(level Level) bool { return level >= r.least }

func (r *recorder) Log(_ Level, event string, fields []Field) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := map[string]any{}
	for _, f := range fields {
		line[f.Key] = f.Number
		if f.Text != "" {
			line[f.Key] = f.Text
		}
	}
	r.names = append(r.names, event)
	r.lines = append(r.lines, line)
}

func testSession(remote string) *session.Session {
	var peer netip.AddrPort
	if remote != "" {
		peer = netip.MustParseAddrPort(remote)
	}
	return session.New(77, nil, peer, time.Time{}, session.NewBehaviour(silent))
}

func TestEventsAndTheirFields(t *testing.T) {
	log := &recorder{least: Debug}
	e := events{logger: log, clock: &stageClock{now: time.Unix(100, 0)}}
	s := testSession("192.0.2.1:5")
	about := map[string]any{"session": int64(77), "remote": "192.0.2.1:5"}
	for _, c := range []struct {
		name   string
		make   func()
		fields map[string]any
	}{
		{"open", func() { e.open(s) }, about},
		{"close", func() {
			e.close(s, &session.CloseError{Reason: session.ReasonPeerReset, Err: syscall.EPIPE, Unsent: 9})
		},
			map[string]any{"session": int64(77), "reason": "peer_reset", "unsent": int64(9), "cause": "broken pipe"}},
		{"slow_consumer", func() { e.close(s, &session.CloseError{Reason: session.ReasonSlowConsumer, Unsent: 9}) },
			map[string]any{"session": int64(77), "reason": "slow_consumer", "unsent": int64(9), "skipped": int64(0)}},
		{"panic", func() { e.panicked(77, errors.New("boom"), []byte("the stack")) },
			map[string]any{"session": int64(77), "value": "boom", "stack": "the stack", "skipped": int64(0)}},
		{"accept_error", func() { e.acceptError(acceptPaused, syscall.EMFILE) },
			map[string]any{"what": "paused", "cause": "too many open files", "skipped": int64(0)}},
		{"listen", func() { e.listening(s.RemoteAddr()) }, map[string]any{"address": "192.0.2.1:5"}},
		{"drain", func() { e.draining(3) }, map[string]any{"sessions": int64(3)}},
		{"failed", func() { e.failed(io.EOF) }, map[string]any{"cause": "EOF"}},
		{"stats", func() {
			e.stats(Stats{Opened: 4, Accepted: 5, BytesIn: 6, BytesOut: 7, Unsent: 8, Closed: map[string]uint64{"idle": 2, "aborted": 0}})
		},
			map[string]any{"opened": int64(4), "accepted": int64(5), "bytes_in": int64(6), "bytes_out": int64(7), "unsent": int64(8), "closed_idle": int64(2), "closed_aborted": nil}},
	} {
		log.names, log.lines = nil, nil
		c.make()
		if len(log.names) != 1 || log.names[0] != c.name {
			t.Errorf("%s: got %v", c.name, log.names)
			continue
		}
		wantFields(t, log.lines[0], c.fields)
	}
}

// A unix peer has no address; its field must still be a text.
func TestRemoteOfAUnixSocket(t *testing.T) {
	log := &recorder{least: Debug}
	e := events{logger: log, clock: &stageClock{}}
	e.open(testSession(""))
	wantFields(t, log.lines[0], map[string]any{"remote": "unix"})
}

// What peers can cause is logged once a second, with a count of the rest.
func TestEventsOfPeersAreThrottled(t *testing.T) {
	clock := &stageClock{now: time.Unix(100, 0)}
	log := &recorder{least: Warn}
	e := events{logger: log, clock: clock}
	for name, cause := range map[string]func(){
		"slow_consumer": func() { e.close(testSession(""), &session.CloseError{Reason: session.ReasonSlowConsumer}) },
		"panic":         func() { e.panicked(1, "x", nil) },
		"accept_error":  func() { e.acceptError(acceptSkipped, syscall.EPERM) },
	} {
		log.names, log.lines = nil, nil
		clock.set(time.Unix(100, 0))
		for range 50 {
			cause()
		}
		clock.set(time.Unix(100, 999_999_999))
		cause()
		if len(log.lines) != 1 || log.lines[0]["skipped"] != int64(0) {
			t.Fatalf("%s: %d lines in one second", name, len(log.lines))
		}
		clock.set(time.Unix(101, 0))
		cause()
		if len(log.lines) != 2 || log.lines[1]["skipped"] != int64(50) || log.names[1] != name {
			t.Errorf("%s: the next second's line is %v, want 50 skipped", name, log.lines[1:])
		}
	}
}

func TestThrottleCountsEachOnce(t *testing.T) {
	var th throttle
	var wg sync.WaitGroup
	var passed, skipped atomic.Int64
	for range 4 {
		wg.Go(func() {
			for i := range int64(10_000) {
				if n, ok := th.pass(1 + i/1000); ok {
					passed.Add(1)
					skipped.Add(n)
				}
			}
		})
	}
	wg.Wait()
	left := th.skipped.Load()
	if total := passed.Load() + skipped.Load() + left; total != 40_000 {
		t.Errorf("%d passed, %d skipped and told, %d not yet: %d in all, want 40000", passed.Load(), skipped.Load(), left, total)
	}
}

func TestSwitchedOffEventsAllocateNothing(t *testing.T) {
	s := testSession("192.0.2.1:5")
	reason := &session.CloseError{Reason: session.ReasonPeerReset, Err: syscall.EPIPE}
	for name, l := range loggers(io.Discard, Error) {
		e := events{logger: l, clock: &stageClock{now: time.Unix(100, 0)}}
		if n := testing.AllocsPerRun(100, func() { e.open(s); e.close(s, reason) }); n != 0 {
			t.Errorf("%s: %v allocations for events that are switched off", name, n)
		}
	}
}
