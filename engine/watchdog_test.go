package engine_test

import (
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/session"
)

// What the watchdog tells of handlers and loops that are stuck.

// alarm is soon enough for a test, and late enough for a busy machine.
const alarm = 50 * time.Millisecond

// blockHere is what the stacks must show.
//
//go:noinline
func blockHere(g *gate) { g.pass() }

// TestFault09WatchdogNamesTheHandler: a handler that blocks is told of once, whatever
// goroutine it blocks, and so is the next one.
func TestFault09WatchdogNamesTheHandler(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline, engine.Single} {
		t.Run(mode.String(), func(t *testing.T) {
			var log journal
			g, p := newGate(), newProbe()
			p.onMessage = func(s *session.Session, f session.Frame) {
				if f.Bytes()[0] == '!' {
					blockHere(g)
				}
				check(t, s.Send(f.Bytes()))
			}
			v := serve(t, "tcp4", p, engine.WithMode(mode), engine.WithLoops(2), engine.WithWatchdog(alarm), engine.WithLogger(&log))
			t.Cleanup(func() { close(g.open) }) // a test that failed must not wait for the handler
			_, _ = v.open()
			c, opened := v.open()
			mustEcho(t, c, "gets on")
			for n := uint64(1); n <= 2; n++ {
				_, err := io.WriteString(c, "!")
				must(t, err)
				await(t, "a handler that blocks", g.entered)
				until(t, "the handler is counted", func() bool { return v.engine.Stats().BlockedHandlers == n })
				until(t, "its age", func() bool { return v.engine.Stats().OldestHandler >= 3*alarm })
				st := v.engine.Stats()
				if st.BlockedHandlers != n { // loops may be told of, too, if they get no processor
					t.Errorf("%d handlers blocked, want %d", st.BlockedHandlers, n)
				}
				if mode != engine.Pool && st.LoopLag < 3*alarm {
					t.Errorf("the loops' lag is %v", st.LoopLag)
				}
				g.open <- struct{}{}
				mustRead(t, c, "!")
				until(t, "nothing runs", func() bool { return v.engine.Stats().OldestHandler == 0 })
			}
			until(t, "the first is logged", func() bool { return len(log.of("blocked_handler")) > 0 })
			first := log.of("blocked_handler")[0]
			if first.level != engine.Warn || first.nums["session"] != int64(opened.ID()) ||
				first.nums["milliseconds"] < alarm.Milliseconds() || !strings.Contains(first.text["stack"], "blockHere") {
				t.Errorf("logged as %+v", first)
			}
		})
	}
}

// TestFault09WatchdogTellsManyApart: of handlers that block at the same time each is
// counted, and the stack in the log is that of the session in the log.
func TestFault09WatchdogTellsManyApart(t *testing.T) {
	const blocked = 20
	var log journal
	g, p := newGate(), newProbe()
	p.onMessage = func(s *session.Session, f session.Frame) { g.pass() }
	v := serve(t, "tcp4", p, pool, engine.WithWatchdog(alarm), engine.WithLogger(&log))
	for range blocked {
		c := v.dial()
		_, err := io.WriteString(c, "x")
		must(t, err)
		await(t, "a handler that blocks", g.entered)
	}
	until(t, "all are counted", func() bool { return v.engine.Stats().BlockedHandlers == blocked })
	close(g.open)
	until(t, "all have returned", func() bool { return v.engine.Stats().OldestHandler == 0 })
	if n := v.engine.Stats().BlockedHandlers; n != blocked {
		t.Errorf("%d counted, want %d", n, blocked)
	}
}

// heldAccept are the real sockets, but accepting blocks when asked to.
type heldAccept struct {
	sock.System
	once *sync.Once
	gate *gate
}

func (h heldAccept) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	peer, addr, errno := h.System.Accept(fd)
	if errno == 0 {
		h.once.Do(h.gate.pass)
	}
	return peer, addr, errno
}

// TestFault09WatchdogNamesWhoCloses: OnClose that blocks a loop is told of as a handler, with
// its session, and so is the next one in the same turn. Found by seed 28362 of the simulator.
func TestFault09WatchdogNamesWhoCloses(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Inline, engine.Single} {
		t.Run(mode.String(), func(t *testing.T) {
			var log journal
			g, p := newGate(), newProbe()
			p.onClose = func(*session.Session, *session.CloseError) { blockHere(g) }
			v := serve(t, "tcp4", p, engine.WithMode(mode), engine.WithLoops(1), engine.WithWatchdog(alarm), engine.WithLogger(&log))
			t.Cleanup(func() { close(g.open) }) // a test that failed must not wait for the handler
			_, a := v.open()
			_, b := v.open()
			must(t, a.Post(func() { // so that one turn closes both
				check(t, a.Abort())
				check(t, b.Abort())
			}))
			for n := uint64(1); n <= 2; n++ {
				await(t, "OnClose", g.entered)
				until(t, "it is counted", func() bool { return v.engine.Stats().BlockedHandlers == n })
				g.open <- struct{}{}
			}
			until(t, "the first is logged", func() bool { return len(log.of("blocked_handler")) > 0 }) // one a second is
			if got := log.of("blocked_handler")[0]; got.nums["session"] != int64(a.ID()) || !strings.Contains(got.text["stack"], "blockHere") {
				t.Errorf("logged as %+v, want session %d", got, a.ID())
			}
		})
	}
}

// TestFault09WatchdogNamesWhomALoopServes: a loop runs handlers since the only worker is stuck.
// One that blocks the loop is told of, and not that of the worker once more, and so is the
// next one. Found by seed 20585 of the simulator.
func TestFault09WatchdogNamesWhomALoopServes(t *testing.T) {
	worker, loop, p := newGate(), newGate(), newProbe()
	var stuck atomic.Bool
	p.onOpen = func(*session.Session) { // a message could find the worker that opened on its way back to the pool, and be the loop's
		if !stuck.Swap(true) {
			worker.pass()
		}
	}
	p.onMessage = func(s *session.Session, f session.Frame) {
		check(t, s.Post(loop.pass))
		loop.pass()
	}
	v := serve(t, "tcp4", p, pool, engine.WithLoops(1), engine.WithPoolSize(1), engine.WithOverload(engine.RunInline), engine.WithWatchdog(alarm))
	t.Cleanup(func() { close(worker.open); close(loop.open) }) // a test that failed must not wait for handlers
	counted := func(n uint64) {
		t.Helper()
		until(t, "it is counted", func() bool { return v.engine.Stats().BlockedHandlers == n })
	}
	v.dial()
	await(t, "the worker is stuck", worker.entered)
	counted(1)
	await(t, "OnOpen", p.opened)
	second, _ := v.open()
	_, err := io.WriteString(second, "?")
	must(t, err)
	for n := uint64(2); n <= 3; n++ {
		await(t, "the loop is stuck", loop.entered)
		counted(n)
		loop.open <- struct{}{}
	}
}

// TestFault09WatchdogNamesTheLoop: a loop that is stuck and runs no handler.
func TestFault09WatchdogNamesTheLoop(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline} {
		t.Run(mode.String(), func(t *testing.T) {
			var log journal
			g := newGate()
			v := serve(t, "tcp4", newProbe(), engine.WithMode(mode), engine.WithLoops(1), engine.WithWatchdog(alarm), engine.WithLogger(&log),
				engine.WithDeps(inject.Deps{Sockets: heldAccept{sock.Kernel(), new(sync.Once), g}}))
			c := v.dial()
			await(t, "the loop is stuck", g.entered)
			until(t, "the loop is counted", func() bool { return v.engine.Stats().BlockedLoops == 1 })
			until(t, "its lag", func() bool { return v.engine.Stats().LoopLag >= 2*alarm })
			close(g.open)
			mustEcho(t, c, "gets on")
			if st := v.engine.Stats(); st.BlockedLoops != 1 || st.BlockedHandlers != 0 {
				t.Errorf("%d loops and %d handlers blocked, want 1 and 0", st.BlockedLoops, st.BlockedHandlers)
			}
			until(t, "it is logged", func() bool { return len(log.of("blocked_loop")) > 0 })
			if got := log.of("blocked_loop")[0]; got.level != engine.Warn || got.nums["milliseconds"] < alarm.Milliseconds() ||
				!strings.Contains(got.text["stack"], "heldAccept") {
				t.Errorf("logged as %+v", got)
			}
		})
	}
}

// TestWatchdogLeavesOthersAlone: what gets on is not told of, though there is always
// something under way.
func TestWatchdogLeavesOthersAlone(t *testing.T) {
	var log journal
	p := newProbe()
	v := serve(t, "tcp4", p, engine.WithLogger(&log))
	c := v.dial()
	for began := time.Now(); time.Since(began) < 3*alarm; {
		mustEcho(t, c, "busy")
	}
	until(t, "nothing runs", func() bool { return v.engine.Stats().OldestHandler == 0 })
	if n := len(log.of("blocked_handler")); n != 0 {
		t.Errorf("%d handlers reported", n)
	}
}
