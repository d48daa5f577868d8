package engine

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/session"
)

// gated is a Logger whose every Log waits for the test.
type gated struct {
	recorder
	entered chan string // the name of the event that Log was called with
	leave   chan struct{}
}

func newGated(least Level) *gated {
	return &gated{recorder: recorder{least: least}, entered: make(chan string), leave: make(chan struct{})}
}

func (g *gated) Log(level Level, event string, fields []Field) {
	g.entered <- event
	<-g.leave
	g.recorder.Log(level, event, fields)
}

// pass lets n events through and returns the names.
func (g *gated) pass(t *testing.T, n int) (names []string) {
	t.Helper()
	for range n {
		select {
		case name := <-g.entered:
			names = append(names, name)
		case <-time.After(30 * time.Second):
			t.Fatalf("only %d of %d events came", len(names), n)
		}
		g.leave <- struct{}{}
	}
	return names
}

// scripted is a Logger made of functions.
type scripted struct {
	enabled func(Level) bool
	log     func(event string, fields []Field)
}

func (s scripted) Enabled(level Level) bool { return s.enabled == nil || s.enabled(level) }

func (s scripted) Log(_ Level, event string, fields []Field) { s.log(event, fields) }

// asked refreshes the levels and waits for it.
func asked(t *testing.T, r *logRing) {
	t.Helper()
	r.refresh()
	settled(t, r)
}

func TestLogKeepsOrder(t *testing.T) {
	log := &recorder{}
	r := newLogRing(log)
	const each = 200
	var wg sync.WaitGroup
	for g := range int64(4) {
		wg.Go(func() {
			for i := range int64(each) {
				r.put(Info, "event", []Field{Number("goroutine", g), Number("number", i)})
			}
		})
	}
	wg.Wait()
	settled(t, r)
	if len(log.lines) != 4*each || r.dropped() != 0 {
		t.Fatalf("%d lines and %d dropped of %d", len(log.lines), r.dropped(), 4*each)
	}
	var next [4]int64
	for _, line := range log.lines {
		g := line["goroutine"].(int64)
		if line["number"] != next[g] {
			t.Fatalf("goroutine %d's event %v came after %d", g, line["number"], next[g]-1)
		}
		next[g]++
	}
}

// The ring goes around more than once, with the logger always a few events behind.
func TestLogKeepsOrderAllTheWayAround(t *testing.T) {
	log := newGated(Info)
	r := newLogRing(log)
	names := func(from, to int) (names []string) {
		for i := from; i < to; i++ {
			names = append(names, fmt.Sprint(i))
		}
		return names
	}
	const batch, rounds = 700, 5
	for round := range rounds {
		for _, name := range names(round*batch, (round+1)*batch) {
			r.put(Info, name, nil)
		}
		got, want := log.pass(t, batch), names(round*batch, (round+1)*batch)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("event %s came when %s was due", got[i], want[i])
			}
		}
	}
	settled(t, r)
	if r.dropped() != 0 {
		t.Errorf("%d dropped", r.dropped())
	}
}

// While the logger does not return, so many wait and the rest are counted; the next
// that gets through tells how many.
func TestLogDropsWhatDoesNotFit(t *testing.T) {
	log := newGated(Debug)
	r := newLogRing(log)
	r.put(Info, "first", nil)
	<-log.entered
	for range logDebug + 5 {
		r.put(Debug, "debug", nil)
	}
	if n := r.dropped(); n != 5 {
		t.Fatalf("%d of level Debug were dropped, want 5: they may not take all the room", n)
	}
	for range logWaiting - logDebug + 7 {
		r.put(Info, "info", nil)
	}
	if n := r.dropped(); n != 5+7 {
		t.Fatalf("%d were dropped, want 12", n)
	}
	log.leave <- struct{}{}
	log.pass(t, 1) // there is room again
	r.put(Info, "told", nil)
	names := log.pass(t, logWaiting)
	settled(t, r)
	if last := names[len(names)-1]; last != "told" {
		t.Errorf("the last event is %s", last)
	}
	var lost []string
	for i, line := range log.lines {
		if n := line["lost"]; n != nil {
			lost = append(lost, fmt.Sprint(log.names[i], n))
		}
	}
	if got := strings.Join(lost, " "); got != "info5 told7" {
		t.Errorf("told of losses: %s; want info5 told7", got)
	}
}

// A logger that panics loses that event, and no other.
func TestLogOfALoggerThatPanics(t *testing.T) {
	seen := &recorder{}
	for what, broken := range map[string]func(){
		"panic":  func() { panic("logger") },
		"nil":    func() { panic(nil) },
		"Goexit": runtime.Goexit,
	} {
		seen.clear()
		r := newLogRing(scripted{log: func(event string, fields []Field) {
			if event == "bad" {
				broken()
			}
			seen.Log(Info, event, fields)
		}})
		for _, name := range []string{"one", "bad", "bad", "two", "bad", "three", "four"} {
			r.put(Info, name, nil)
		}
		settled(t, r)
		if got := strings.Join(seen.names, " "); got != "one two three four" {
			t.Errorf("%s: written: %s", what, got)
			continue
		}
		for i, lost := range []any{nil, int64(2), int64(1), nil} {
			if got := seen.lines[i]["lost"]; got != lost {
				t.Errorf("%s: %s tells of %v lost, want %v", what, seen.names[i], got, lost)
			}
		}
		if n := r.dropped(); n != 3 {
			t.Errorf("%s: %d dropped, want 3", what, n)
		}
	}
}

// A level that the logger panics at is off, until it does not.
func TestLogLevelsOfALoggerThatPanics(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	log := &recorder{}
	r := newLogRing(scripted{
		enabled: func(level Level) bool {
			if level == Warn && broken.Load() {
				panic("enabled")
			}
			return level >= Info
		},
		log: func(event string, fields []Field) { log.Log(Info, event, fields) },
	})
	wantLevels(t, r, Info, Error)
	r.put(Warn, "lost", nil) // as one that was made before the level was off
	r.put(Info, "written", nil)
	settled(t, r)
	if len(log.names) != 1 || log.lines[0]["lost"] != int64(1) || r.dropped() != 1 {
		t.Errorf("written %v %v, %d dropped", log.names, log.lines, r.dropped())
	}
	broken.Store(false)
	asked(t, r)
	wantLevels(t, r, Info, Warn, Error)
}

func wantLevels(t *testing.T, r *logRing, on ...Level) {
	t.Helper()
	for _, level := range []Level{Debug, Info, Warn, Error} {
		want := false
		for _, l := range on {
			want = want || l == level
		}
		if r.enabled(level) != want {
			t.Errorf("level %d: enabled is %v", level, !want)
		}
	}
}

// The levels are asked for at the start, with each event and by refresh, and by
// nobody else.
func TestLogFollowsLevels(t *testing.T) {
	var least atomic.Int64
	least.Store(int64(Warn))
	log := &recorder{}
	r := newLogRing(scripted{
		enabled: func(level Level) bool { return level >= Level(least.Load()) },
		log:     func(event string, fields []Field) { log.Log(Info, event, fields) },
	})
	wantLevels(t, r, Warn, Error)
	least.Store(int64(Debug))
	wantLevels(t, r, Warn, Error)
	r.put(Warn, "event", nil)
	settled(t, r)
	wantLevels(t, r, Debug, Info, Warn, Error)
	least.Store(int64(Error))
	r.put(Info, "off meanwhile", nil)
	settled(t, r)
	wantLevels(t, r, Error)
	least.Store(int64(Info))
	asked(t, r)
	wantLevels(t, r, Info, Warn, Error)
	if len(log.names) != 1 || r.dropped() != 0 {
		t.Errorf("written %v, %d dropped", log.names, r.dropped())
	}
}

// What waits is written before the ring stops; nothing is afterwards.
func TestLogStop(t *testing.T) {
	log := newGated(Info)
	r := newLogRing(log)
	for _, name := range []string{"one", "two", "three"} {
		r.put(Info, name, nil)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop(time.Minute)
	}()
	if got := strings.Join(log.pass(t, 3), " "); got != "one two three" {
		t.Errorf("written: %s", got)
	}
	<-stopped
	r.put(Info, "late", nil)
	r.refresh()
	if r.running || r.dropped() != 1 {
		t.Errorf("after the end: running %v, %d dropped; want 1", r.running, r.dropped())
	}
	r.stop(time.Minute)
}

// A logger that does not return holds up nobody, and its goroutine ends when it does.
func TestLogStopOfALoggerThatBlocks(t *testing.T) {
	log := newGated(Info)
	r := newLogRing(log)
	r.put(Info, "blocked", nil)
	<-log.entered
	r.put(Info, "dropped", nil)
	r.put(Info, "dropped", nil)
	r.stop(time.Millisecond)
	if n := r.dropped(); n != 2 {
		t.Errorf("%d dropped, want the 2 that waited", n)
	}
	log.leave <- struct{}{}
	settled(t, r)
	if got := strings.Join(log.names, " "); got != "blocked" {
		t.Errorf("written: %s", got)
	}
}

// A peer's or a handler's text may be of any length; what waits is not.
func TestLogCutsLongTexts(t *testing.T) {
	log := &recorder{}
	r := newLogRing(log)
	long := strings.Repeat("x", logText-1)
	for _, text := range []string{long, long + "y", long + "é"} {
		r.put(Info, "event", []Field{Text("text", text)})
	}
	settled(t, r)
	for i, want := range []string{long, long + "y", long + fmt.Sprintf("... (%d bytes)", logText+1)} {
		if got := log.lines[i]["text"]; got != want {
			t.Errorf("text %d is cut to %.20q...%q", i, got, got.(string)[logText-1:])
		}
	}
}

// Engines whose logger is out of order begin, serve, and end.

// brokenLoggers are what users may give us. Those that block do until release.
func brokenLoggers() (loggers map[string]Logger, release func()) {
	forever := make(chan struct{})
	block := func() { <-forever }
	crash := func() { panic("logger") }
	loggers = make(map[string]Logger)
	for name, do := range map[string]func(){"blocks": block, "panics": crash, "exits": runtime.Goexit} {
		loggers["Log "+name] = scripted{log: func(string, []Field) { do() }}
		loggers["Enabled "+name] = scripted{enabled: func(Level) bool { do(); return true }, log: func(string, []Field) {}}
	}
	return loggers, func() { close(forever) }
}

func TestFault57LoggerThatBlocksOrPanics(t *testing.T) {
	all, release := brokenLoggers()
	t.Cleanup(release)
	for name, log := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := New(WithLogger(log), WithLoops(2))
			if err != nil {
				t.Fatal(err)
			}
			echo := session.HandlerFunc(func(s *session.Session, f session.Frame) {
				if string(f.Bytes()) == "panic" {
					panic("handler")
				}
				_ = s.Send(f.Bytes())
			})
			l, err := e.Listen("tcp", "127.0.0.1:0", echo)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				mustAnswer(t, l.Addr(), "panic", "")
				mustAnswer(t, l.Addr(), "echo", "echo")
			}
			e.Stop()
			done := make(chan error, 1)
			go func() { done <- e.Close() }()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("Close: %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("Close does not return")
			}
			if st := e.Stats(); strings.HasPrefix(name, "Log ") && st.LogDropped == 0 {
				t.Error("no event counts as dropped")
			}
		})
	}
}

// mustAnswer sends text on a connection of its own, and reads what comes back until
// the end.
func mustAnswer(t *testing.T, addr net.Addr, text, want string) {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if string(got) != want || err != nil && want != "" {
		t.Fatalf("%q is answered with %q, %v", text, got, err)
	}
}
