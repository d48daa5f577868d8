package engine

import (
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/panjf2000/ants/v2"

	"github.com/weirnet/weir/internal/rate"
	"github.com/weirnet/weir/session"
)

// A bad value makes New fail with an error that names option and value.
func TestBadOptions(t *testing.T) {
	const sec = time.Second
	for _, c := range []struct {
		option string
		value  any
		with   Option
	}{
		{"mode", Mode(3), WithMode(3)},
		{"loops", 0, WithLoops(0)},
		{"loops", 257, WithLoops(257)},
		{"loops", -1, WithLoops(-1)},
		{"placement", Placement(3), WithPlacement(3)},
		{"spin", -1 * time.Nanosecond, WithSpin(-1)},
		{"spin", time.Millisecond + 1, WithSpin(time.Millisecond + 1)},
		{"yield", -1 * time.Nanosecond, WithYield(-1)},
		{"yield", 10*time.Millisecond + 1, WithYield(10*time.Millisecond + 1)},
		{"keep-alive", 999 * time.Millisecond, WithKeepAlive(999 * time.Millisecond)},
		{"keep-alive", -sec, WithKeepAlive(-sec)},
		{"keep-alive", 32768 * sec, WithKeepAlive(32768 * sec)},
		{"user timeout", -sec, WithUserTimeout(-sec)},
		{"user timeout", 597 * time.Hour, WithUserTimeout(597 * time.Hour)},
		{"read budget", 0, WithReadBudget(0)},
		{"read size", 4<<10 - 1, WithReadSize(4<<10 - 1)},
		{"read size", 256<<10 + 1, WithReadSize(256<<10 + 1)},
		{"mailbox", 0, WithMailbox(0)},
		{"outbound", [3]int{-1, 2, 3}, WithOutbound(-1, 2, 3)},
		{"outbound", [3]int{2, 2, 3}, WithOutbound(2, 2, 3)},
		{"outbound", [3]int{1, 3, 2}, WithOutbound(1, 3, 2)},
		{"outbound total", int64(0), WithOutboundTotal(0)},
		{"idle buffers", -1, WithIdleBuffers(-1)},
		{"memory limit", int64(-1), WithMemoryLimit(-1)},
		{"memory limit", int64(memoryMin - 1), WithMemoryLimit(memoryMin - 1)},
		{"first message timeout", -sec, WithFirstMessageTimeout(-sec)},
		{"first message timeout", time.Millisecond, WithFirstMessageTimeout(time.Millisecond)},
		{"idle timeout", time.Nanosecond, WithIdleTimeout(1)},
		{"stall timeout", deadlineMin - 1, WithStallTimeout(deadlineMin - 1)},
		{"heartbeat", deadlineMin - 1, WithHeartbeat(deadlineMin-1, 2)},
		{"heartbeat", -sec, WithHeartbeat(-sec, 2)},
		{"heartbeat", 1, WithHeartbeat(sec, 1)},
		{"heartbeat", 101, WithHeartbeat(sec, 101)},
		{"linger", time.Duration(0), WithLinger(0)},
		{"linger", deadlineMin - 1, WithLinger(deadlineMin - 1)},
		{"lifetime", -sec, WithLifetime(-sec)},
		{"drain timeout", time.Duration(0), WithDrainTimeout(0)},
		{"dial timeout", -sec, WithDialTimeout(-sec)},
		{"dial timeout", time.Millisecond - 1, WithDialTimeout(time.Millisecond - 1)},
		{"dialer", (*net.Dialer)(nil), WithDialer(nil)},
		{"logger", nil, WithLogger(nil)},
		{"metrics", nil, WithMetrics(nil)},
		{"max sessions", -1, WithMaxSessions(-1)},
		{"max per address", -1, WithMaxPerAddress(-1)},
		{"accept rate", -1, WithAcceptRate(-1, 1)},
		{"accept rate", 0, WithAcceptRate(1, 0)},
		{"accept rate", rate.Most + 1, WithAcceptRate(rate.Most+1, 1)},
		{"accept rate", rate.Most + 1, WithAcceptRate(1, rate.Most+1)},
		{"message rate", -1, WithMessageRate(-1, 1)},
		{"message rate", 0, WithMessageRate(1, 0)},
		{"byte rate", rate.Most + 1, WithByteRate(rate.Most+1, 1)},
		{"recently closed", -1, WithRecentlyClosed(-1)},
		{"recently closed", recentMax + 1, WithRecentlyClosed(recentMax + 1)},
		{"unread", 0, WithUnread(0)},
		{"pool size", 0, WithPoolSize(0)},
		{"pool", (*ants.Pool)(nil), WithPool(nil)},
		{"executor", nil, WithExecutor(nil)},
		{"overload", Overload(3), WithOverload(3)},
	} {
		_, err := New(c.with)
		var bad *OptionError
		if !errors.As(err, &bad) {
			t.Errorf("%s %v: error %v", c.option, c.value, err)
			continue
		}
		if bad.Option != c.option || bad.Value != c.value || bad.Why == "" {
			t.Errorf("%s %v: got %#v", c.option, c.value, bad)
		}
		if text := err.Error(); !strings.Contains(text, c.option) || !strings.Contains(text, fmt.Sprint(c.value)) {
			t.Errorf("%q does not name %s and %v", text, c.option, c.value)
		}
	}
}

func TestTheFirstBadOptionIsReported(t *testing.T) {
	_, err := New(WithLoops(4), WithSpin(-1), WithLoops(0))
	var bad *OptionError
	if !errors.As(err, &bad) || bad.Option != "spin" {
		t.Errorf("error %v, want the one about spin", err)
	}
}

// The last value that is still good, on both sides.
func TestGoodBoundaries(t *testing.T) {
	for name, with := range map[string]Option{
		"one loop":             WithLoops(1),
		"most loops":           WithLoops(256),
		"no spin":              WithSpin(0),
		"longest spin":         WithSpin(time.Millisecond),
		"no yield":             WithYield(0),
		"rarest yield":         WithYield(10 * time.Millisecond),
		"no keep-alive":        WithKeepAlive(0),
		"shortest keep-alive":  WithKeepAlive(time.Second),
		"longest keep-alive":   WithKeepAlive(32767 * time.Second),
		"no user timeout":      WithUserTimeout(0),
		"longest user timeout": WithUserTimeout(math.MaxInt32 * time.Millisecond),
		"one byte":             WithReadBudget(1),
		"smallest reads":       WithReadSize(4 << 10),
		"largest reads":        WithReadSize(256 << 10),
		"one task":             WithMailbox(1),
		"smallest outbound":    WithOutbound(0, 1, 1),
		"smallest total":       WithOutboundTotal(1),
		"no idle buffers":      WithIdleBuffers(0),
		"no memory limit":      WithMemoryLimit(0),
		"least memory limit":   WithMemoryLimit(memoryMin),
		"no first message":     WithFirstMessageTimeout(0),
		"shortest deadline":    WithIdleTimeout(deadlineMin),
		"longest deadline":     WithLifetime(math.MaxInt64),
		"shortest linger":      WithLinger(deadlineMin),
		"last placement":       WithPlacement(SourceHash),
		"no byte rate":         WithByteRate(0, 0),
		"highest message rate": WithMessageRate(rate.Most, rate.Most),
		"no accept rate":       WithAcceptRate(0, 0),
		"highest accept rate":  WithAcceptRate(rate.Most, rate.Most),
		"no most of sessions":  WithMaxSessions(0),
		"one session":          WithMaxSessions(1),
	} {
		if _, err := collect([]Option{with}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What docs promise.
func TestDefaults(t *testing.T) {
	o, err := collect(nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.loops != runtime.GOMAXPROCS(0) || o.mode != Pool || o.overload != PauseReads || o.unread != 64<<10 || o.newWorkers == nil || o.placement != RoundRobin || o.spin != 0 ||
		!o.conn.NoDelay || o.conn.KeepAliveSeconds != 15 || o.conn.UserTimeoutMillis != 30_000 ||
		o.readBudget != 256<<10 || o.mailbox != 1024 ||
		o.lowWater != 64<<10 || o.highWater != 256<<10 || o.outboundCap != 4<<20 || o.outboundTotal <= 0 ||
		o.idle != 0 || o.lifetime != 0 || o.stall != 30*time.Second || o.linger != 5*time.Second || o.drain != 10*time.Second ||
		o.entry != (entryLimits{}) || o.intake != (intakeLimits{}) || o.recent != 256 || o.halfOpen || o.crash || o.logger == nil {
		t.Errorf("defaults are %+v", o)
	}
}

func TestSingleHasOneLoop(t *testing.T) {
	for _, opts := range [][]Option{{WithMode(Single), WithLoops(8)}, {WithLoops(8), WithMode(Single)}} {
		if o, err := collect(opts); err != nil || o.loops != 1 {
			t.Errorf("%d loops, %v", o.loops, err)
		}
	}
}

func TestNoIdleBuffersKeepsNone(t *testing.T) {
	e, err := assemble([]Option{WithIdleBuffers(0), WithMode(Single), WithDeps(newStage(t).engine.deps)})
	if err != nil {
		t.Fatal(err)
	}
	e.pool.Get(1000).Release()
	if got := e.pool.Stats().Idle; got != 0 {
		t.Errorf("%d bytes are kept", got)
	}
	e.loops[0].discard()
}

func TestModesHaveNames(t *testing.T) {
	for mode, want := range map[Mode]string{Inline: "inline", Single: "single", 9: "invalid"} {
		if got := mode.String(); got != want {
			t.Errorf("mode %d is %q, want %q", mode, got, want)
		}
	}
}

func TestNilHandlerIsRefused(t *testing.T) {
	st := newStage(t)
	_, err := st.engine.Listen("tcp", "127.0.0.1:0", nil)
	var bad *OptionError
	if !errors.As(err, &bad) || bad.Option != "handler" {
		t.Errorf("error %v", err)
	}
}

// Listen and Close at once: each acceptor is counted out once, each listening
// descriptor closed once, whoever is first.
func TestListenWhileTheEngineEnds(t *testing.T) {
	for range 50 {
		e, err := New(WithLoops(2), WithLogger(NoLog{}))
		if err != nil {
			t.Fatal(err)
		}
		listened := make(chan error)
		go func() {
			_, err := e.Listen("tcp", "127.0.0.1:0", silent)
			listened <- err
		}()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := <-listened; err != nil && !errors.Is(err, ErrStopped) {
			t.Errorf("Listen: %v", err)
		}
		if n := e.openAcceptors.Load(); n != 0 {
			t.Fatalf("%d acceptors are counted after the end", n)
		}
	}
}

func TestListenWhenTheMailboxIsFull(t *testing.T) {
	st := newStage(t, WithMailbox(1))
	st.loop.mail.postTask(func() {})
	_, err := st.engine.Listen("tcp", "127.0.0.1:0", silent)
	if !errors.Is(err, session.ErrMailboxFull) {
		t.Errorf("error %v, want ErrMailboxFull", err)
	}
	if _, ok := err.(net.Error); ok {
		t.Errorf("%v is a network error", err)
	}
}

// A listener can be closed however much its loop has to do.
func TestListenerClosesThoughTheMailboxIsFull(t *testing.T) {
	st := newStage(t, WithMailbox(1))
	a := st.accepting(silent)
	st.loop.mail.postTask(func() {})
	if err := (&Listener{acceptors: []*acceptor{a}}).Close(); err != nil {
		t.Error(err)
	}
	st.loop.turn()
	if !a.closed {
		t.Error("still listens")
	}
}
