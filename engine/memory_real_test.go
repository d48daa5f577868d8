package engine_test

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/session"
)

// vessel is an inject.Memory that is as full as the test wants.
type vessel struct {
	used   atomic.Int64
	cycles atomic.Uint64
}

const vesselSize = 64 << 20

func (v *vessel) fill(percent int64) { v.used.Store(vesselSize / 100 * percent) }
func (v *vessel) Collect()           { v.cycles.Add(1) }

func (v *vessel) Read() inject.MemoryUse {
	return inject.MemoryUse{Held: v.used.Load(), Firm: v.used.Load(), Cycles: v.cycles.Load()}
}

// TestMemoryLadder goes up and down the ladder over real sockets: who is idle is dropped, who
// is fat is aborted, who echoes stays, and who comes waits.
func TestMemoryLadder(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline, engine.Single} {
		for _, network := range []string{"tcp4", "unix"} {
			t.Run(mode.String()+"/"+network, func(t *testing.T) { memoryLadder(t, mode, network) })
		}
	}
}

func memoryLadder(t *testing.T, mode engine.Mode, network string) {
	var memory vessel
	var log journal
	memory.fill(50)
	v := serve(t, network, newProbe(), engine.WithMode(mode), engine.WithLogger(&log),
		engine.WithMemoryLimit(vesselSize), engine.WithOutboundTotal(1<<30), engine.WithDeps(inject.Deps{Memory: &memory}))
	healthy, _ := v.open()
	idle, idleSession := v.open()
	fat, fatSession := v.open()
	must(t, fatSession.SendOwned(make([]byte, 32<<20), nil)) // more than any kernel takes
	must(t, v.listen(network, v.probe.handler()).Close())    // waits for the loop that accepts: it may just be about to take one more

	done := make(chan struct{})
	var echoing sync.WaitGroup
	echoing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := roundTrip(healthy); err != nil {
				t.Errorf("the healthy client: %v", err)
				return
			}
		}
	})
	defer echoing.Wait()
	defer sync.OnceFunc(func() { close(done) })()

	memory.fill(82)
	step := func(want engine.MemoryStep) {
		t.Helper()
		until(t, "step "+want.String(), func() bool { return v.engine.Stats().Memory.Step == want })
	}
	step(engine.MemoryStopAccepting)
	accepted := v.engine.Stats().Accepted
	late := v.dial()
	_, err := io.WriteString(late, "let me in")
	must(t, err)

	wantEnd := func(s *session.Session, want engine.MemoryStep) {
		t.Helper()
		got := await(t, "OnClose", v.probe.closed)
		var why *engine.MemoryError
		if got.session != s || !errors.Is(got.reason, session.ReasonMemory) || !errors.As(got.reason, &why) || why.Step != want {
			t.Fatalf("session %#x was closed because of %v, want %#x and %v", got.session.ID(), got.reason, s.ID(), want)
		}
		if want == engine.MemoryCloseFattest && got.reason.Unsent == 0 {
			t.Error("nothing was unsent")
		}
	}
	memory.fill(87)
	mustEnd(t, idle)
	idle.Close()
	wantEnd(idleSession, engine.MemoryDropIdle)

	memory.fill(95)
	wantEnd(fatSession, engine.MemoryCloseFattest)
	mustReset(t, fat)
	if got := v.engine.Stats().Accepted; got != accepted {
		t.Errorf("%d connections were accepted meanwhile", got-accepted)
	}

	memory.fill(50)
	mustRead(t, late, "let me in")
	step(engine.MemoryNormal)
	until(t, "it is logged", func() bool { return len(log.of("memory")) >= 8 })
	st := v.engine.Stats()
	if m := st.Memory; m.AcceptStops != 1 || m.IdleDropped != 1 || m.FattestClosed != 1 || st.Closed["memory"] != 2 {
		t.Errorf("counted %+v, and %d closed", m, st.Closed["memory"])
	}
	for _, line := range log.of("memory") {
		if line.level != engine.Warn || line.text["of"] != "memory" || line.nums["limit"] == 0 || line.nums["use"] == 0 {
			t.Errorf("logged as %+v", line)
		}
	}
}

// TestMemoryLimitIsOff: nothing is done about memory where nobody wants it.
func TestMemoryLimitIsOff(t *testing.T) {
	var memory vessel
	memory.fill(200)
	v := serve(t, "tcp4", newProbe(), engine.WithMemoryLimit(0), engine.WithDeps(inject.Deps{Memory: &memory}))
	c, _ := v.open()
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
		mustEcho(t, c, "x")
	}
	if m := v.engine.Stats().Memory; m.Limit != 0 || m.Step != engine.MemoryNormal || m.AcceptStops != 0 {
		t.Errorf("counted %+v", m)
	}
}
