package rpc

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/fuzz"
)

// tableModel is what a table is to be: a map of the calls that are in it.
type tableModel struct {
	t     *testing.T
	table table
	limit int
	in    map[uint64]*call
	used  map[uint64]bool // ids that were given
	gone  []uint64        // those that were taken out
	ended *ending
	armed time.Duration
}

func newTableModel(t *testing.T, limit int) *tableModel {
	m := &tableModel{t: t, limit: limit, in: map[uint64]*call{}, used: map[uint64]bool{}}
	m.table.init(limit, tagRoaming, func(at time.Duration) { m.armed = at })
	return m
}

func (m *tableModel) add(deadline time.Duration) {
	c := &call{deadline: deadline}
	id, err := m.table.add(c)
	switch {
	case m.ended != nil:
		if !errors.Is(err, m.ended.cause) {
			m.t.Fatalf("add after the end: %v", err)
		}
		return
	case len(m.in) == m.limit:
		if e := (*LimitError)(nil); !errors.As(err, &e) || e.Limit != m.limit {
			m.t.Fatalf("add above the limit: %v", err)
		}
		return
	case err != nil:
		m.t.Fatalf("add with %d of %d: %v", len(m.in), m.limit, err)
	case id != c.id || m.used[id] || id&1 != tagRoaming:
		m.t.Fatalf("id %#x was given before, or has the wrong tag", id)
	}
	m.in[id], m.used[id] = c, true
}

// earliest is the first deadline of those in the table.
func (m *tableModel) earliest() (at time.Duration, ok bool) {
	for _, c := range m.in {
		if c.deadline != 0 && (!ok || c.deadline < at) {
			at, ok = c.deadline, true
		}
	}
	return at, ok
}

// any returns one of the calls in the table, by a number.
func (m *tableModel) any(n int) *call {
	if len(m.in) == 0 {
		return nil
	}
	ids := make([]uint64, 0, len(m.in))
	for id := range m.in {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return m.in[ids[n%len(ids)]]
}

func (m *tableModel) out(c *call) {
	if m.in[c.id] != c {
		m.t.Fatalf("call %#x came out, which is not in", c.id)
	}
	delete(m.in, c.id)
	m.gone = append(m.gone, c.id)
}

func (m *tableModel) take(c *call) {
	if got := m.table.take(c.id); got != c {
		m.t.Fatalf("take(%#x) = %v", c.id, got)
	}
	m.out(c)
}

func (m *tableModel) takeGone(n int) {
	if len(m.gone) > 0 {
		if id := m.gone[n%len(m.gone)]; m.table.take(id) != nil {
			m.t.Fatalf("%#x was taken twice", id)
		}
	}
}

func (m *tableModel) sent(c *call, end uint64) {
	e := m.table.sent(c, c.id, end)
	if m.ended == nil {
		if e != nil {
			m.t.Fatalf("sent: %v before the end", e)
		}
		return
	}
	if e == nil || *e != *m.ended {
		m.t.Fatalf("sent: %v after the end", e)
	}
	m.out(c)
}

func (m *tableModel) watch(c *call) {
	stopped := false
	m.table.watch(c, c.id, func() bool { stopped = true; return true })
	if stopped || c.stop == nil {
		m.t.Fatal("a call that waits is not watched")
	}
}

func (m *tableModel) watchGone() {
	if len(m.gone) > 0 {
		c, stopped := &call{}, false
		m.table.watch(c, m.gone[0], func() bool { stopped = true; return true })
		if !stopped || c.stop != nil {
			m.t.Fatal("a call that has ended is watched")
		}
	}
}

func (m *tableModel) takeAll(rng *rand.Rand) {
	mark := rng.Uint64N(10)
	want := 0
	for id := range m.in {
		if id>>1%10 == mark {
			want++
		}
	}
	all := m.table.takeAll(func(c *call) bool { return c.id>>1%10 == mark })
	if len(all) != want {
		m.t.Fatalf("%d were taken, want %d", len(all), want)
	}
	for _, c := range all {
		m.out(c)
	}
}

// expire lets time pass, if the table has asked for that.
func (m *tableModel) expire(now time.Duration) {
	if m.armed == 0 || m.armed > now {
		return
	}
	m.armed = 0
	last := time.Duration(0)
	for _, c := range m.table.expire(now) {
		if c.deadline == 0 || c.deadline > now || c.deadline < last {
			m.t.Fatalf("a call with deadline %v expired at %v, after one with %v", c.deadline, now, last)
		}
		last = c.deadline
		m.out(c)
	}
}

func (m *tableModel) close(e ending) {
	m.ended = &e
	for _, c := range m.table.close(e) {
		if !c.sent {
			m.t.Fatalf("call %#x is just being sent, and was taken out", c.id)
		}
		m.out(c)
	}
	for _, c := range m.in {
		if c.sent {
			m.t.Fatalf("call %#x was left in a table that is closed", c.id)
		}
	}
}

func (m *tableModel) check() {
	if n := m.table.len(); n != len(m.in) || n > m.limit {
		m.t.Fatalf("%d calls, want %d", n, len(m.in))
	}
	t := &m.table
	if at, timed := m.earliest(); timed && m.ended == nil && (m.armed == 0 || m.armed > at) {
		m.t.Fatalf("expire is to be called at %v, the first deadline is %v", m.armed, at)
	}
	if m.ended != nil && m.armed != 0 {
		m.t.Fatal("expire is to be called of a table that is closed")
	}
	for id, c := range m.in {
		if t.find(id) != c {
			m.t.Fatalf("call %#x is not found", id)
		}
	}
	if len(t.slots) > m.limit || len(t.slots) > slotsKept && len(m.in) == 0 {
		m.t.Fatalf("%d slots for %d calls", len(t.slots), len(m.in))
	}
	timed := 0
	for i, c := range t.due {
		if c.place != i || i > 0 && t.due[(i-1)/2].deadline > c.deadline || m.in[c.id] != c {
			m.t.Fatalf("deadline %d is out of order", i)
		}
		timed++
	}
	for _, c := range m.in {
		if c.deadline != 0 {
			timed--
		}
	}
	if timed != 0 {
		m.t.Fatalf("%d deadlines too many", timed)
	}
}

// step is one thing that happens to a table. It returns the time, which may have passed.
func (m *tableModel) step(rng *rand.Rand, now time.Duration, growing bool) time.Duration {
	switch n := rng.IntN(98); {
	case n < 38 && growing, n < 18:
		var deadline time.Duration
		if rng.IntN(3) > 0 {
			deadline = now + time.Duration(1+rng.IntN(50))
		}
		m.add(deadline)
	case n < 53:
		if c := m.any(rng.Int()); c != nil && !c.sent {
			m.sent(c, rng.Uint64())
		}
	case n < 78:
		if c := m.any(rng.Int()); c != nil {
			m.take(c)
		}
	case n < 81:
		m.takeGone(rng.Int())
		m.watchGone()
	case n < 82:
		m.takeAll(rng)
	case n < 83:
		if c := m.any(rng.Int()); c != nil {
			m.watch(c)
		}
	case n < 84:
		if m.table.take(rng.Uint64()<<1) != nil {
			m.t.Fatal("an id of another kind was found")
		}
	default:
		now += time.Duration(rng.IntN(5))
		m.expire(now)
	}
	m.check()
	return now
}

// end closes the table, and ends what is left.
func (m *tableModel) end(rng *rand.Rand) {
	m.close(ending{cause: errors.New("over"), taken: 7})
	m.check()
	m.add(0)
	for c := m.any(0); c != nil; c = m.any(rng.Int()) {
		if rng.IntN(2) == 0 {
			m.take(c) // whoever sent it failed to
		} else {
			m.sent(c, 9)
		}
		m.check()
	}
	if n := m.table.len(); n != 0 {
		m.t.Fatalf("%d calls are left", n)
	}
}

// TestTableModel drives a table and its model by the same random program.
func TestTableModel(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newTableModel(t, 1+rng.IntN(200))
		now, growing := time.Duration(0), true
		for range 2000 {
			growing = growing != (rng.IntN(50) == 0)
			now = m.step(rng, now, growing)
		}
		m.end(rng)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzTable does the same as the input says.
func FuzzTable(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		m := newTableModel(t, 1+c.IntN(200))
		now := time.Duration(0)
		for growing := c.IntN(4) > 0; c.More(); {
			now = m.step(c.Rand, now, growing)
		}
		m.end(c.Rand)
	})
}

// TestTableEndsEachOnce has goroutines race for the end of the same calls.
func TestTableEndsEachOnce(t *testing.T) {
	const calls, racers = 2000, 4
	var tab table
	tab.init(calls, tagLine, func(time.Duration) {})
	ids := make([]uint64, calls)
	for i := range ids {
		c := &call{deadline: time.Duration(1 + i)}
		id, err := tab.add(c)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
		tab.sent(c, id, 1)
	}
	ended := make(chan uint64, calls*racers)
	var all sync.WaitGroup
	for r := range racers {
		all.Go(func() {
			for _, i := range rand.New(rand.NewPCG(uint64(r), 0)).Perm(calls) {
				switch {
				case r == 0 && i%10 == 0:
					for _, c := range tab.expire(time.Duration(i)) {
						ended <- c.id
					}
				default:
					if c := tab.take(ids[i]); c != nil {
						ended <- c.id
					}
				}
			}
		})
	}
	all.Go(func() {
		for _, c := range tab.close(ending{cause: errors.New("over")}) {
			ended <- c.id
		}
	})
	all.Wait()
	close(ended)
	seen := map[uint64]bool{}
	for id := range ended {
		if seen[id] {
			t.Fatalf("call %#x ended twice", id)
		}
		seen[id] = true
	}
	if len(seen) != calls {
		t.Fatalf("%d of %d calls ended", len(seen), calls)
	}
}
