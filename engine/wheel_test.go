package engine

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirnet/weir/internal/fuzz"
)

// model is what a wheel must do, done the slow way: a due time per timer.
type model struct {
	now tick
	due map[uint32]tick
}

// fire returns the timers that are due within the ticks up to now, and forgets
// them.
func (m *model) fire(now tick) (due []uint32) {
	for index, at := range m.due {
		if at-m.now <= now-m.now {
			due = append(due, index)
			delete(m.due, index)
		}
	}
	m.now = now
	return due
}

// earliest is how many ticks ahead the first timer is due.
func (m *model) earliest() (wait tick, ok bool) {
	for _, at := range m.due {
		if !ok || at-m.now < wait {
			wait, ok = at-m.now, true
		}
	}
	return wait, ok
}

func newTestWheel(timers int, now tick) *wheel {
	all := make([]timer, timers)
	return &wheel{now: now, timer: func(index uint32) *timer { return &all[index] }}
}

// checkWheel fails if lists, bits and timers do not agree.
func checkWheel(t *testing.T, w *wheel, timers int) {
	t.Helper()
	found := 0
	for level := range w.heads {
		for slot, head := range w.heads[level] {
			if used := w.used[level]>>slot&1 != 0; used != (head != 0) {
				t.Fatalf("level %d slot %d: used %v, head %d", level, slot, used, head)
			}
			prev := uint32(0)
			for at := head; at != 0; at = w.timer(at - 1).next {
				entry := w.timer(at - 1)
				if entry.prev != prev || int(entry.slot) != 1+level*slotsPerLevel+slot {
					t.Fatalf("timer %d: prev %d, slot %d", at-1, entry.prev, entry.slot)
				}
				prev = at
				found++
			}
		}
	}
	set := 0
	for index := range timers {
		if w.timer(uint32(index)).isSet() {
			set++
		}
	}
	if set != found {
		t.Fatalf("%d timers are set, %d are in lists", set, found)
	}
}

// waits are times that lie at, before and behind the borders of the levels.
func randomWait(random *rand.Rand) tick {
	switch random.IntN(4) {
	case 0:
		return tick(random.IntN(70))
	case 1:
		border := tick(1) << (slotBits * (1 + random.IntN(levels-1)))
		return border + tick(random.IntN(5)) - 2
	case 2:
		return tick(random.IntN(horizon + 1))
	}
	return tick(random.IntN(1 << random.IntN(bits.Len(horizon))))
}

// wheelTimers is how many timers a wheel and its model have.
const wheelTimers = 50

// wheelTrial is a wheel and its model, to which the same happens.
type wheelTrial struct {
	t     *testing.T
	wheel *wheel
	model *model
}

func newWheelTrial(t *testing.T, start tick) wheelTrial {
	return wheelTrial{t, newTestWheel(wheelTimers, start), &model{now: start, due: map[uint32]tick{}}}
}

// step sets, moves or clears a timer, or lets time pass.
func (x wheelTrial) step(random *rand.Rand) {
	index := uint32(random.IntN(wheelTimers))
	switch random.IntN(5) {
	case 0, 1:
		due := x.model.now + randomWait(random)
		x.wheel.set(index, due)
		if due == x.model.now {
			due++
		}
		x.model.due[index] = due
	case 2:
		x.wheel.clear(index)
		delete(x.model.due, index)
	default:
		now := x.model.now + randomWait(random)
		if at, ok := x.wheel.next(); ok && random.IntN(2) == 0 {
			now = at
		}
		x.advance(now)
	}
	at, ok := x.wheel.next()
	wait, wantOK := x.model.earliest()
	if ok != wantOK || ok && (at-x.wheel.now > wait || at == x.wheel.now) {
		x.t.Fatalf("at %d: next in %d (%v), earliest timer in %d (%v)", x.wheel.now, at-x.wheel.now, ok, wait, wantOK)
	}
}

func (x wheelTrial) advance(now tick) {
	var fired []uint32
	x.wheel.advance(now, func(index uint32) {
		if at := x.model.due[index]; at != x.wheel.now {
			x.t.Fatalf("timer %d fires at %d, due at %d", index, x.wheel.now, at)
		}
		fired = append(fired, index)
	})
	want := x.model.fire(now)
	slices.Sort(fired)
	slices.Sort(want)
	if !slices.Equal(fired, want) || x.wheel.now != now {
		x.t.Fatalf("at %d fired %v, want %v", now, fired, want)
	}
}

// Random timers are set, moved, cleared and fired, on a wheel and on the model,
// from times at which ticks wrap around or levels begin.
func TestWheelAgainstModel(t *testing.T) {
	steps := 6000
	if testing.Short() {
		steps = 1000
	}
	for _, start := range wheelStarts {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("from %d, seed %d", start, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, uint64(start)))
				x := newWheelTrial(t, start)
				for range steps {
					x.step(random)
				}
				checkWheel(t, x.wheel, wheelTimers)
			})
		}
	}
}

var wheelStarts = []tick{0, 1, 63, 64, 4095, 1<<18 - 1, 1<<24 - 3, 1<<32 - 1, 1<<32 - 100, 1<<32 - 1<<18, 1<<32 - 1<<24 - 7, 12345678}

// FuzzWheel does the same as the input says.
func FuzzWheel(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		x := newWheelTrial(t, wheelStarts[c.IntN(len(wheelStarts))])
		for c.More() {
			x.step(c.Rand)
			checkWheel(t, x.wheel, wheelTimers)
		}
	})
}

// Times beyond the horizon are kept, though the wheel looks at them earlier.
func TestWheelBeyondTheHorizon(t *testing.T) {
	for _, wait := range []tick{horizon, horizon + 1, 3 * horizon, 1 << 30} {
		for _, start := range []tick{0, 1<<32 - 1, 777} {
			w := newTestWheel(1, start)
			w.set(0, start+wait)
			fired := tick(0)
			for range 1 << 16 {
				at, ok := w.next()
				if !ok {
					break
				}
				w.advance(at, func(uint32) { fired = at - start })
			}
			if fired != wait {
				t.Errorf("set for %d ticks from %d on, fired after %d", wait, start, fired)
			}
		}
	}
}

func TestWheelDueNowFiresAtTheNextTick(t *testing.T) {
	for _, due := range []tick{100, 99, 0, 101} {
		w := newTestWheel(1, 100)
		w.set(0, due)
		if at, ok := w.next(); at != 101 || !ok {
			t.Errorf("due at %d: next is %d, want 101", due, at)
		}
	}
}

// Fire may set the timer that fires, and set and clear others.
func TestWheelChangesWhileFiring(t *testing.T) {
	w := newTestWheel(4, 0)
	for index := range uint32(3) {
		w.set(index, 10)
	}
	var fired []string
	w.advance(10, func(index uint32) {
		fired = append(fired, fmt.Sprintf("%d at %d", index, w.now))
		if index == 2 { // the newest comes first
			w.clear(1)
			w.set(2, 10)
			w.set(3, 5)
		}
	})
	w.advance(20, func(index uint32) { fired = append(fired, fmt.Sprintf("%d at %d", index, w.now)) })
	want := []string{"2 at 10", "0 at 10", "3 at 11", "2 at 11"}
	if !slices.Equal(fired, want) {
		t.Errorf("fired %v, want %v", fired, want)
	}
	checkWheel(t, w, 4)
}

func TestEmptyWheel(t *testing.T) {
	w := newTestWheel(1, 5)
	if _, ok := w.next(); ok {
		t.Error("an empty wheel has a next time")
	}
	w.clear(0)
	w.advance(1<<31, func(uint32) { t.Error("fired") })
	if w.now != 1<<31 {
		t.Errorf("now is %d", w.now)
	}
}

// An advance over a long time must cost what fires, not the time.
func TestWheelSkipsEmptyTime(t *testing.T) {
	w := newTestWheel(1, 0)
	w.set(0, horizon)
	steps := 0
	for at, ok := w.next(); ok; at, ok = w.next() {
		steps++
		w.advance(at, func(uint32) {})
	}
	if steps > levels+1 {
		t.Errorf("%d steps to the only timer, want at most %d", steps, levels+1)
	}
}

const benchTimers = 100_000

func BenchmarkWheelSetClear(b *testing.B) {
	w := newTestWheel(benchTimers, 0)
	random := rand.New(rand.NewPCG(1, 1))
	for index := range uint32(benchTimers) {
		w.set(index, tick(1+random.IntN(6000)))
	}
	for i := 0; b.Loop(); i++ {
		index := uint32(i*7919) % benchTimers
		w.clear(index)
		w.set(index, tick(1+i%6000))
	}
}

// Each tick fires some of 100,000 timers, which are set again.
func BenchmarkWheelAdvance(b *testing.B) {
	w := newTestWheel(benchTimers, 0)
	random := rand.New(rand.NewPCG(1, 1))
	for index := range uint32(benchTimers) {
		w.set(index, tick(1+random.IntN(6000)))
	}
	fired := 0
	for b.Loop() {
		w.advance(w.now+1, func(index uint32) {
			fired++
			w.set(index, w.now+6000)
		})
	}
	b.ReportMetric(float64(fired)/float64(b.N), "fired/op")
}
