package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestBackoffBounds(t *testing.T) {
	least := func(int64) int64 { return 0 }
	most := func(n int64) int64 { return n - 1 }
	const ms = time.Millisecond
	for _, c := range []struct {
		b    backoff
		n    int
		want [2]time.Duration
	}{
		{backoff{50 * ms, 1000 * ms}, 1, [2]time.Duration{50 * ms, 100 * ms}},
		{backoff{50 * ms, 1000 * ms}, 2, [2]time.Duration{50 * ms, 200 * ms}},
		{backoff{50 * ms, 1000 * ms}, 4, [2]time.Duration{50 * ms, 800 * ms}},
		{backoff{50 * ms, 1000 * ms}, 5, [2]time.Duration{50 * ms, 1000 * ms}},
		{backoff{50 * ms, 1000 * ms}, math.MaxInt, [2]time.Duration{50 * ms, 1000 * ms}},
		{backoff{ms, math.MaxInt64}, 10, [2]time.Duration{ms, 1024 * ms}},
		{backoff{ms, math.MaxInt64}, 61, [2]time.Duration{ms, math.MaxInt64}},
		{backoff{ms, math.MaxInt64}, 100, [2]time.Duration{ms, math.MaxInt64}},
		{backoff{ms, ms}, 1, [2]time.Duration{ms, ms}},
	} {
		if got := [2]time.Duration{c.b.before(c.n, least), c.b.before(c.n, most)}; got != c.want {
			t.Errorf("attempt %d of %v comes after %v, want %v", c.n, c.b, got, c.want)
		}
	}
}

// Full jitter: any time within the bounds is as likely.
func TestBackoffIsSpread(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := backoff{50 * time.Millisecond, time.Second}
	const draws, parts = 100_000, 10
	var histogram [parts]int
	for range draws {
		d := b.before(9, random.Int64N)
		histogram[min(int(parts*(d-b.shortest)/(b.longest-b.shortest)), parts-1)]++
	}
	for i, n := range histogram {
		if n < draws/parts*95/100 || n > draws/parts*105/100 {
			t.Errorf("a tenth of the time has %d of %d attempts: %v", i, draws, histogram)
		}
	}
}

// TestConnectorModel has clients of some addresses come, dial, and give up in any order.
// The limits hold, no place is free while somebody waits who may have it, those of one
// address have their turns in order, and nothing is remembered at the end.
func TestConnectorModel(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		limits := connectLimits{total: 1 + random.IntN(8)}
		limits.perAddress = 1 + random.IntN(limits.total)
		var x connector
		x.start(nil, limits)
		var dialling, waiting []*ticket
		number := uint64(0)
		begin := func(c *Client) {
			number++
			tk := &ticket{client: c, turn: number}
			if random.IntN(3) == 0 {
				tk.given = make(chan struct{})
			}
			if x.enter(tk) {
				dialling = append(dialling, tk)
			} else {
				waiting = append(waiting, tk)
			}
		}
		turn := func(tk *ticket) {
			for i, w := range waiting {
				if w == tk {
					waiting = append(waiting[:i:i], waiting[i+1:]...)
					dialling = append(dialling, tk)
					return
				}
				if w.client.target == tk.client.target {
					t.Fatalf("seed %d: %d has its turn before %d", seed, tk.turn, w.turn)
				}
			}
			t.Fatalf("seed %d: %d has a turn, and does not wait", seed, tk.turn)
		}
		end := func() {
			i := random.IntN(len(dialling))
			to := dialling[i].client.target
			dialling = append(dialling[:i:i], dialling[i+1:]...)
			next := x.leave(to)
			for _, w := range waiting { // is it one with a goroutine?
				if w.given == nil || next != nil {
					continue
				}
				select {
				case <-w.given:
					next = w
				default:
				}
			}
			if next != nil {
				turn(next)
			}
		}
		check := func() {
			under := map[target]int{}
			for _, d := range dialling {
				under[d.client.target]++
			}
			if len(dialling) > limits.total || x.under != len(dialling) {
				t.Fatalf("seed %d: %d dial, %d are counted, %d may", seed, len(dialling), x.under, limits.total)
			}
			for to, n := range under {
				if n > limits.perAddress {
					t.Fatalf("seed %d: %d dial %v, %d may", seed, n, to, limits.perAddress)
				}
			}
			for _, w := range waiting {
				if len(dialling) < limits.total && under[w.client.target] < limits.perAddress {
					t.Fatalf("seed %d: %d waits although there is room", seed, w.turn)
				}
			}
		}
		addresses := 1 + random.IntN(4)
		for range 200 {
			switch k := random.IntN(5); {
			case k < 2:
				begin(&Client{target: target{"tcp", fmt.Sprint(random.IntN(addresses))}})
			case k < 4 && len(dialling) > 0:
				end()
			case len(waiting) > 0:
				i := random.IntN(len(waiting))
				if w := waiting[i]; w.given != nil {
					if !x.withdraw(w) {
						t.Fatalf("seed %d: %d has its turn, and nobody was told", seed, w.turn)
					}
					waiting = append(waiting[:i:i], waiting[i+1:]...)
				}
			}
			check()
		}
		for len(dialling) > 0 {
			end()
			check()
		}
		if len(waiting) > 0 || len(x.lanes) > 0 || x.turns.Len() > 0 {
			t.Fatalf("seed %d: %d wait, %d lanes are left, %d of them have turns", seed, len(waiting), len(x.lanes), x.turns.Len())
		}
	}
}

// An address whose dials hang keeps its limit of places, and no others wait for it.
func TestConnectorDeadAddress(t *testing.T) {
	var x connector
	x.start(nil, connectLimits{total: 8, perAddress: 4})
	dead, fine := &Client{target: target{"tcp", "dead"}}, &Client{target: target{"tcp", "fine"}}
	entered := 0
	for range 100 {
		if x.enter(&ticket{client: dead}) {
			entered++
		}
	}
	if entered != 4 {
		t.Errorf("%d dial the dead address, want 4", entered)
	}
	for range 100 {
		if !x.enter(&ticket{client: fine}) {
			t.Fatal("somebody waits for the dead address")
		}
		if next := x.leave(fine.target); next != nil {
			t.Fatalf("%v has a turn", next.client.target)
		}
	}
}
