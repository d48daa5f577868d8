package enginetest

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 1, "first seed of TestSimulation")
	seedCount = flag.Int("seeds", 100, "number of seeds of TestSimulation")
	seedsFor  = flag.Duration("for", 0, "run as many seeds as this takes, from a first one that nobody has seen, and not -seed and -seeds")
	keepParts = flag.String("keep", "", "the parts of the simulation that are kept, divided by commas, or none; empty: all")
	showParts = flag.Bool("parts", false, "print each part that a simulation has")
	shrinkFor = flag.Duration("shrink", 20*time.Second, "for how long a smaller history is looked for when a seed has failed; 0: not at all")
	traceTail = flag.Int("lines", 200, "lines of history that a failed simulation shows")
)

// TestSimulation runs the engine through many histories. Of one that fails it looks for
// a smaller one that fails in the same way, and prints the commands that repeat both. A
// panic on a loop's goroutine ends the process before that: with -v the last line tells
// the seed, and TestShrink finds the smaller one.
func TestSimulation(t *testing.T) {
	first, enough := *firstSeed, func(done uint64) bool { return done == uint64(*seedCount) }
	if *seedsFor > 0 {
		began := time.Now()
		first = uint64(began.UnixNano()) % 1_000_000_000
		enough = func(uint64) bool { return time.Since(began) > *seedsFor || t.Failed() }
	}
	done := uint64(0)
	for ; !enough(done); done++ {
		seed := first + done
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			if o := simulate(t, seed, kept()); o.failed() {
				t.Error(o.report + smaller(seed, o.failure))
			}
		})
	}
	if *seedsFor > 0 {
		fmt.Printf("%d seeds from %d on\n", done, first)
	}
}

// kept are the parts that are to be kept; nil: all.
func kept() []string {
	switch *keepParts {
	case "":
		return nil
	case "none":
		return []string{}
	}
	return strings.Split(*keepParts, ",")
}

// TestSameSeedSameHistory shows that a seed decides everything.
func TestSameSeedSameHistory(t *testing.T) {
	things := 0
	for seed := uint64(1000); seed < 1020; seed++ {
		first := simulate(t, seed, nil)
		second := simulate(t, seed, nil)
		if first.sum != second.sum {
			t.Errorf("seed %d: two histories, %#x and %#x", seed, first.sum, second.sum)
		}
		if other := simulate(t, seed+100, nil); other.sum == first.sum {
			t.Errorf("seeds %d and %d: one history", seed, seed+100)
		}
		things += first.lines
	}
	if things < 2000 {
		t.Errorf("only %d things happened", things)
	}
}

// outcome is what became of a simulation.
type outcome struct {
	sum     uint64 // of the history
	lines   int
	failure string
	report  string
}

func (o outcome) failed() bool { return o.failure != "" }

// simulate runs one history, with all of its parts or only some.
func simulate(t *testing.T, seed uint64, only []string) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(seed, only)
		s.setUp()
		s.run()
		if !s.failed {
			_ = s.engine.Close()
			s.check()
		}
		if s.failed {
			o.failure, o.report = s.trace.failure, s.report()
			s.tearDown()
			return
		}
		o.sum, o.lines = s.trace.sum.Sum64(), s.trace.lines
		st := s.engine.Stats()
		t.Logf("%d steps, %d lines, %d sessions, %d waits, %d bytes in, %d out; %d hands, %d refused; casts: %d; %d dials, %d failed; %d pings; groups: %+v", s.steps, s.trace.lines,
			s.opened, st.Throttled+st.AcceptWaits, st.BytesIn, st.BytesOut, s.hands.hired, s.crew.refused, st.Cast, st.Dialled, st.DialErrors, st.Pings, st.GroupSent)
	})
	return o
}

// check is what must hold after the end.
func (s *simulation) check() {
	if s.crew.late && s.hung > 0 {
		return // the engine was abandoned, and what waited for its handlers with it
	}
	for _, t := range s.tracks {
		t.check()
	}
	st := s.engine.Stats()
	closed := uint64(0)
	for _, n := range st.Closed {
		closed += n
	}
	switch {
	case len(s.network.misuses) > 0:
		s.failf("calls on descriptors that are not open: %v", s.network.misuses)
	case s.network.open() != 0:
		s.failf("%d descriptors are open", s.network.open())
	case st.Memory.Buffers.InUse != 0 || st.Memory.Buffers.Segments != 0:
		s.failf("%d bytes of buffers are in use", st.Memory.Buffers.InUse)
	case st.Queued != 0 || st.Sessions != 0:
		s.failf("%d bytes are queued, %d sessions left", st.Queued, st.Sessions)
	case st.Opened != uint64(s.opened) || st.Opened != closed:
		s.failf("%d sessions were opened, %d counted so, %d counted closed", s.opened, st.Opened, closed)
	case st.Unsent != uint64(s.unsent):
		s.failf("%d bytes unsent, %d counted", s.unsent, st.Unsent)
	case st.Clients != 0 || len(s.timers.list) != 0:
		s.failf("%d clients have not ended, %d timers are set", st.Clients, len(s.timers.list))
	}
	for _, d := range s.diallers {
		d.check()
	}
	if s.crowd != nil {
		s.crowd.check(st.GroupSent, st.Groups, int(st.Cast))
	}
	if s.plane != nil {
		s.plane.check()
	}
	if s.casts != nil {
		s.casts.check(st)
	}
	if s.ender != nil {
		s.ender.check()
	}
	s.watch.check(s)
}
