package engine

import (
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/session"
)

func newTestSlots(index, stride int) *slots {
	l := &loop{index: index}
	l.slots.loop, l.slots.stride = l, uint32(stride)
	return &l.slots
}

// occupy gives c a session, as adopt does.
func occupy(c *conn) *session.Session {
	s := session.New(c.id, nil, netip.AddrPort{}, time.Time{}, session.NewBehaviour(silent))
	c.session.Store(s)
	return s
}

func TestSlotIDsNeverRepeat(t *testing.T) {
	s := newTestSlots(0, 1)
	seen := map[uint64]bool{}
	var held []*conn
	for i := range 10_000 {
		c := s.take()
		if seen[c.id] || c.id < generation {
			t.Fatalf("id %x a second time, or below the first generation", c.id)
		}
		seen[c.id] = true
		held = append(held, c)
		if i%3 != 0 {
			at := i * 7 % len(held)
			s.give(held[at])
			held[at] = held[len(held)-1]
			held = held[:len(held)-1]
		}
	}
}

// However many loops there are, an id tells loop and slot, and no two loops give
// the same.
func TestPlaces(t *testing.T) {
	for _, stride := range []int{1, 2, 3, 7, 64, 255, 256} {
		seen := map[uint64]bool{}
		for _, index := range []int{0, 1, stride / 2, stride - 1} {
			if index >= stride || seen[uint64(index)|generation] {
				continue
			}
			s := newTestSlots(index, stride)
			for slot := range uint32(600) {
				c := s.take()
				if c.slot() != slot || c != s.at(slot) || c.loop != s.loop {
					t.Fatalf("%d loops: slot %d has number %d", stride, slot, c.slot())
				}
				if got := int(c.id&placeMask) % stride; got != index {
					t.Fatalf("%d loops: id %x leads to loop %d, not %d", stride, c.id, got, index)
				}
				if seen[c.id] {
					t.Fatalf("%d loops: id %x twice", stride, c.id)
				}
				seen[c.id] = true
				if want := occupy(c); s.session(c.id) != want {
					t.Fatalf("%d loops: id %x finds %v", stride, c.id, s.session(c.id))
				}
			}
		}
	}
}

func TestStaleAndForeignIDsFindNothing(t *testing.T) {
	s := newTestSlots(0, 1)
	if s.session(generation) != nil {
		t.Error("found a session in an empty table")
	}
	c := s.take()
	occupy(c)
	old := c.id
	for _, id := range []uint64{0, old + generation, old - generation, old + 1, old + 100_000, 1<<64 - 1} {
		if s.session(id) != nil {
			t.Errorf("id %x finds a session", id)
		}
	}
	c.session.Store(nil)
	s.give(c)
	if again := s.take(); again != c || again.id != old+generation {
		t.Errorf("the slot came back with id %x after %x", again.id, old)
	}
	occupy(c)
	if s.session(old) != nil {
		t.Error("the old id finds the new session")
	}
}

// With as many loops as there are places, each has one.
func TestPlacesRunOut(t *testing.T) {
	s := newTestSlots(5, placeMask/3)
	for range 3 {
		if s.take() == nil {
			t.Fatal("no place left too early")
		}
	}
	c := s.at(1)
	if s.take() != nil || s.count() != 3 {
		t.Fatal("a place beyond the last one")
	}
	s.give(c)
	if s.take() != c || s.take() != nil {
		t.Error("the place that was given back was not used again")
	}
}

// Conns do not move when the table grows.
func TestSlotsStayWhereTheyAre(t *testing.T) {
	s := newTestSlots(0, 1)
	var all []*conn
	for range int(3*perChunk) + 1 {
		all = append(all, s.take())
	}
	for i, c := range all {
		if s.at(uint32(i)) != c {
			t.Fatalf("slot %d moved", i)
		}
	}
}

func TestEachStops(t *testing.T) {
	s := newTestSlots(0, 1)
	if !s.each(func(*session.Session) bool { t.Error("called"); return true }) {
		t.Error("an empty table stops")
	}
	for range 5 {
		occupy(s.take())
	}
	s.take() // no session
	n := 0
	if !s.each(func(*session.Session) bool { n++; return true }) || n != 5 {
		t.Errorf("%d sessions, want 5", n)
	}
	n = 0
	if s.each(func(*session.Session) bool { n++; return n < 2 }) || n != 2 {
		t.Errorf("went on to %d sessions, want 2", n)
	}
}

// Lookups from other goroutines while places are taken and given back: an id
// finds its own session or nothing.
func TestLookupsWhileSlotsChange(t *testing.T) {
	rounds := 20_000
	if testing.Short() {
		rounds = 3_000
	}
	s := newTestSlots(0, 1)
	var last atomic.Uint64
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !done.Load() {
				id := last.Load()
				for _, id := range []uint64{id, id - generation, id + generation} {
					if found := s.session(id); found != nil && found.ID() != id {
						t.Errorf("id %x finds %x", id, found.ID())
					}
				}
				s.each(func(found *session.Session) bool { return found != nil })
				runtime.Gosched()
			}
		})
	}
	var mu sync.Mutex
	var held []*conn
	var takers sync.WaitGroup
	for taker := range 2 {
		takers.Go(func() {
			for i := range rounds {
				c := s.take()
				occupy(c)
				last.Store(c.id)
				mu.Lock()
				held = append(held, c)
				var back *conn
				if i%4 != taker {
					back, held = held[0], held[1:]
				}
				mu.Unlock()
				if back != nil {
					back.session.Store(nil)
					s.give(back)
				}
			}
		})
	}
	takers.Wait()
	done.Store(true)
	wg.Wait()
	ids := map[uint64]bool{}
	for _, c := range held {
		if ids[c.id] {
			t.Fatalf("id %x is held twice", c.id)
		}
		ids[c.id] = true
	}
}
