package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/weirnet/weir/internal/inject"
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

// The same for all events into which a peer's or a handler's text can get, with
// what terminals obey beyond ASCII, whole or cut in two.
func TestEventsQuoteControlBytes(t *testing.T) {
	evil := "\x1b[2J\r\n\x00\u009b31m\x9b31m" + strings.Repeat("\u009b", logText)
	var out bytes.Buffer
	all := loggers(&out, Debug)
	all["slog text"] = Slog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for name, l := range all {
		e := events{ring: newLogRing(l), clock: &stageClock{}}
		for event, make := range map[string]func(){
			"close": func() {
				e.close(testSession(""), &session.CloseError{Reason: session.ReasonProtocolError, Err: errors.New(evil)})
			},
			"panic":        func() { e.panicked(1, evil, []byte(evil)) },
			"accept_error": func() { e.acceptError(acceptSkipped, errors.New(evil)) },
			"overload":     func() { e.overloaded(evil, 1) },
			"failed":       func() { e.failed(errors.New(evil)) },
		} {
			make()
			settled(t, e.ring)
			text := out.String()
			out.Reset()
			if !strings.Contains(text, event) || !strings.Contains(text, "31m") || strings.Count(text, "\n") != 1 {
				t.Errorf("%s: %s is %d lines: %.200q", name, event, strings.Count(text, "\n"), text)
			}
			for i, r := range strings.TrimSuffix(text, "\n") {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd") {
					t.Errorf("%s: %s has %#x at byte %d", name, event, text[i], i)
					break
				}
			}
		}
	}
}

// recorder is a Logger that keeps the lines.
type recorder struct {
	least  Level
	silent bool // keeps nothing
	levels []Level
	names  []string
	lines  []map[string]any
}

func (r *recorder) clear() { r.levels, r.names, r.lines = nil, nil, nil }

func (r *recorder) Enabled(level Level) bool { return level >= r.least }

func (r *recorder) Log(level Level, event string, fields []Field) {
	if r.silent {
		return
	}
	line := map[string]any{}
	for _, f := range fields {
		line[f.Key] = f.Number
		if f.IsText {
			line[f.Key] = f.Text
		}
	}
	r.levels = append(r.levels, level)
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

// watched are events that go to a Logger of the test, which reads what was logged
// after settle.
func watched(l Logger, clock inject.Clock) *events {
	return &events{ring: newLogRing(l), clock: clock}
}

// settled waits until the ring has nothing to do.
func settled(t *testing.T, r *logRing) {
	t.Helper()
	if !r.wait(30 * time.Second) {
		t.Fatal("the logger's goroutine has not ended")
	}
}

func TestEventsAndTheirFields(t *testing.T) {
	log := &recorder{least: Debug}
	e := watched(log, &stageClock{now: time.Unix(100, 0)})
	s := testSession("192.0.2.1:5")
	about := map[string]any{"session": int64(77), "remote": "192.0.2.1:5"}
	for _, c := range []struct {
		name   string
		level  Level
		make   func()
		fields map[string]any
	}{
		{"open", Debug, func() { e.open(s) }, about},
		{"close", Debug, func() {
			e.close(s, &session.CloseError{Reason: session.ReasonPeerReset, Err: syscall.EPIPE, Unsent: 9, Unhandled: 8})
		},
			map[string]any{"session": int64(77), "remote": "192.0.2.1:5", "reason": "peer_reset",
				"unsent": int64(9), "unhandled": int64(8), "cause": "broken pipe", "skipped": nil}},
		{"slow_consumer", Warn, func() { e.close(s, &session.CloseError{Reason: session.ReasonSlowConsumer, Unsent: 9}) },
			map[string]any{"session": int64(77), "reason": "slow_consumer", "unsent": int64(9), "skipped": int64(0)}},
		{"over_limit", Warn, func() {
			e.close(s, &session.CloseError{Reason: session.ReasonOverLimit, Err: &session.LimitError{Unit: "bytes", PerSecond: 7, Burst: 5}})
		},
			map[string]any{"session": int64(77), "reason": "over_limit", "skipped": int64(0), "cause": "more than 7 bytes per second, and 5 at once"}},
		{"panic", Error, func() { e.panicked(77, errors.New("boom"), []byte("the stack")) },
			map[string]any{"session": int64(77), "value": "boom", "stack": "the stack", "skipped": int64(0)}},
		{"accept_error", Warn, func() { e.acceptError(acceptPaused, syscall.EMFILE) },
			map[string]any{"what": "paused", "cause": "too many open files", "skipped": int64(0)}},
		{"overload", Warn, func() { e.overloaded("pause reads", 12) },
			map[string]any{"policy": "pause reads", "waiting": int64(12), "skipped": int64(0)}},
		{"listen", Info, func() { e.listening(s.RemoteAddr()) }, map[string]any{"address": "192.0.2.1:5"}},
		{"drain", Info, func() { e.draining(3) }, map[string]any{"sessions": int64(3)}},
		{"failed", Error, func() { e.failed(io.EOF) }, map[string]any{"cause": "EOF"}},
	} {
		log.clear()
		c.make()
		settled(t, e.ring)
		if len(log.names) != 1 || log.names[0] != c.name || log.levels[0] != c.level {
			t.Errorf("%s: got %v of %v", c.name, log.names, log.levels)
			continue
		}
		wantFields(t, log.lines[0], c.fields)
	}
}

// The last event tells what was closed how, and what was lost.
func TestStatsEvent(t *testing.T) {
	log := &recorder{}
	e := watched(log, &stageClock{})
	st := Stats{
		Accepted: 5, Refused: 1, Opened: 4, BytesIn: 6, BytesOut: 7, Unsent: 8,
		Overloads: 9, LogDropped: 11, Closed: map[string]uint64{"none": 99},
	}
	want := map[string]any{
		"accepted": int64(5), "refused": int64(1), "opened": int64(4), "bytes_in": int64(6), "bytes_out": int64(7),
		"unsent": int64(8), "overloads": int64(9), "log_dropped": int64(11), "closed_none": nil,
	}
	for r := session.ReasonPeerClosed; int(r) < session.Reasons; r++ {
		want["closed_"+r.String()] = nil
		if n := uint64(r % 3); n > 0 {
			st.Closed[r.String()] = n
			want["closed_"+r.String()] = int64(n)
		}
	}
	e.stats(st)
	settled(t, e.ring)
	if len(log.names) != 1 || log.names[0] != "stats" {
		t.Fatalf("got %v", log.names)
	}
	wantFields(t, log.lines[0], want)
}

// An error that a user gave to CloseWith can be broken.
func TestAnErrorThatPanicsWhenAskedForItsText(t *testing.T) {
	log := &recorder{least: Debug}
	e := watched(log, &stageClock{})
	var broken *net.OpError
	e.close(testSession(""), &session.CloseError{Reason: session.ReasonLocalClose, Err: brokenError{broken}})
	settled(t, e.ring)
	if len(log.lines) != 1 || log.lines[0]["cause"] == nil {
		t.Errorf("got %v", log.lines)
	}
}

type brokenError struct{ *net.OpError }

func (b brokenError) Error() string { return b.Op }

// A unix peer has no address; its field must still be a text.
func TestRemoteOfAUnixSocket(t *testing.T) {
	log := &recorder{least: Debug}
	e := watched(log, &stageClock{})
	e.open(testSession(""))
	settled(t, e.ring)
	wantFields(t, log.lines[0], map[string]any{"remote": "unix"})
}

// What peers can cause is logged once a second, with a count of the rest.
func TestEventsOfPeersAreThrottled(t *testing.T) {
	clock := &stageClock{now: time.Unix(100, 0)}
	log := &recorder{least: Warn}
	e := watched(log, clock)
	for name, cause := range map[string]func(){
		"slow_consumer": func() { e.close(testSession(""), &session.CloseError{Reason: session.ReasonSlowConsumer}) },
		"over_limit":    func() { e.close(testSession(""), &session.CloseError{Reason: session.ReasonOverLimit}) },
		"panic":         func() { e.panicked(1, "x", nil) },
		"accept_error":  func() { e.acceptError(acceptSkipped, syscall.EPERM) },
		"overload":      func() { e.overloaded("reject", 1) },
	} {
		log.clear()
		clock.set(time.Unix(100, 0))
		for range 50 {
			cause()
		}
		clock.set(time.Unix(100, 999_999_999))
		cause()
		settled(t, e.ring)
		if len(log.lines) != 1 || log.lines[0]["skipped"] != int64(0) {
			t.Fatalf("%s: %d lines in one second", name, len(log.lines))
		}
		clock.set(time.Unix(101, 0))
		cause()
		settled(t, e.ring)
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
	addr := s.RemoteAddr()
	reason := &session.CloseError{Reason: session.ReasonPeerReset, Err: syscall.EPIPE}
	slow := &session.CloseError{Reason: session.ReasonSlowConsumer}
	st := Stats{}
	off := map[string]Logger{
		"none":    NoLog{},
		"zerolog": Zerolog(zerolog.New(io.Discard).Level(zerolog.Disabled)),
		"slog":    Slog(slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(Error + 1)}))),
	}
	for name, l := range off {
		clock := &stageClock{now: time.Unix(100, 0)}
		e := watched(l, clock)
		if n := testing.AllocsPerRun(100, func() {
			clock.set(clock.Now().Add(time.Second)) // nothing is kept back by a throttle
			e.listening(addr)
			e.open(s)
			e.close(s, reason)
			e.close(s, slow)
			e.panicked(1, reason, nil)
			e.acceptError(acceptPaused, syscall.EMFILE)
			e.overloaded("reject", 1)
			e.draining(1)
			e.failed(io.EOF)
			e.stats(st)
		}); n != 0 {
			t.Errorf("%s: %v allocations for events that are switched off", name, n)
		}
	}
}

// What an event that is on allocates: its fields, and the texts among them.
func TestAllocationsOfEventsThatAreOn(t *testing.T) {
	s := testSession("192.0.2.1:5")
	reason := &session.CloseError{Reason: session.ReasonPeerReset}
	log := &recorder{least: Debug, silent: true}
	e := watched(log, &stageClock{})
	texts := testing.AllocsPerRun(100, func() { _ = s.RemoteAddr().String() })
	for name, event := range map[string]func(){
		"open": func() { e.open(s) }, "close": func() { e.close(s, reason) },
	} {
		// Waiting for each event allocates the channel and the timer it waits with.
		waiting := testing.AllocsPerRun(100, func() { e.ring.refresh(); e.ring.wait(time.Minute) })
		got := testing.AllocsPerRun(100, func() { event(); e.ring.wait(time.Minute) })
		if got > waiting+texts+1 {
			t.Errorf("%s: %v allocations, %v of them by the test and %v for the address; want 1 more", name, got, waiting, texts)
		}
	}
}
