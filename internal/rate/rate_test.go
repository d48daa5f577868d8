package rate_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/fuzz"
	"github.com/weirnet/weir/internal/rate"
)

// bucket is what the package claims to be, with a number of tokens, in billionths.
type bucket struct {
	perSecond, burst int64
	tokens           int64
	at               time.Duration
}

const token = int64(time.Second)

func (b *bucket) fill(now time.Duration) {
	b.tokens = min(b.tokens+int64(now-b.at)*b.perSecond, b.burst*token)
	b.at = now
}

// trial is a meter and a bucket, to which the same happens.
type trial struct {
	t     *testing.T
	limit rate.Limit
	meter rate.Meter
	model bucket
	now   time.Duration
}

func newTrial(t *testing.T, perSecond, burst int) *trial {
	return &trial{
		t: t, limit: rate.New(perSecond, burst),
		model: bucket{perSecond: int64(perSecond), burst: int64(burst), tokens: int64(burst) * token},
	}
}

// step lets some time pass, and takes some tokens.
func (x *trial) step(rng *rand.Rand) {
	x.now += time.Duration(rng.Int64N(2 * int64(time.Second) / x.model.perSecond * int64(1+rng.IntN(20))))
	n := 1 + rng.IntN(20)
	x.model.fill(x.now)
	x.model.tokens -= int64(n) * token
	if over := x.meter.Charge(x.limit, x.now, n); over != (x.model.tokens < 0) {
		x.t.Fatalf("%+v, at %v: over is %v", x.model, x.now, over)
	}
	ready := x.meter.Ready(x.limit)
	later := x.model
	later.fill(max(ready, x.now))
	if ready > x.now && later.tokens < token {
		x.t.Fatalf("%+v: a token is said to be there at %v, and %d billionths are", x.model, ready, later.tokens)
	}
	if later = x.model; ready > x.now+1 {
		if later.fill(ready - 1); later.tokens >= token {
			x.t.Fatalf("%+v: there is a token before %v", x.model, ready)
		}
	}
}

// perSeconds are rates that divide a second, so that no price is rounded.
var perSeconds = []int{1, 10, 64, 1000, 1_000_000, rate.Most}

// Any history of charges is judged as by a bucket that counts tokens.
func TestMeterIsABucket(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, perSecond := range perSeconds {
		x := newTrial(t, perSecond, 1+rng.IntN(1000))
		for range 20_000 {
			x.step(rng)
		}
	}
}

// FuzzMeter does the same as the input says.
func FuzzMeter(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		x := newTrial(t, perSeconds[c.IntN(len(perSeconds))], 1+c.IntN(1000))
		for c.More() {
			x.step(c.Rand)
		}
	})
}

func TestBurstAtRest(t *testing.T) {
	for _, perSecond := range []int{1, 3, 7, 1000} {
		for _, burst := range []int{1, 2, 100} {
			l, now := rate.New(perSecond, burst), time.Hour
			var m rate.Meter
			var s rate.Shared
			for i := range burst {
				if m.Charge(l, now, 1) {
					t.Errorf("%d/s, burst %d: event %d is over", perSecond, burst, i)
				}
				if _, ok := s.Take(l, now); !ok {
					t.Errorf("%d/s, burst %d: event %d does not get a token", perSecond, burst, i)
				}
			}
			if !m.Charge(l, now, 1) {
				t.Errorf("%d/s, burst %d: one more is not over", perSecond, burst)
			}
			again, ok := s.Take(l, now)
			if ok || again <= now || again > now+time.Second/time.Duration(perSecond) {
				t.Errorf("%d/s, burst %d: one more gets %v, and %v", perSecond, burst, ok, again-now)
			}
			if _, ok := s.Take(l, again); !ok {
				t.Errorf("%d/s, burst %d: no token when it was promised", perSecond, burst)
			}
		}
	}
}

func TestReturnedTokenIsThereAgain(t *testing.T) {
	l, now := rate.New(10, 1), time.Hour
	var s rate.Shared
	for range 100 {
		if _, ok := s.Take(l, now); !ok {
			t.Fatal("a token that was given back is not there")
		}
		s.Return(l)
	}
}

// Many goroutines get as many tokens as one would.
func TestSharedGivesEachTokenOnce(t *testing.T) {
	const burst, perSecond = 100, 1000
	l := rate.New(perSecond, burst)
	var s rate.Shared
	var clock, got atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for clock.Load() < int64(time.Second) {
				if _, ok := s.Take(l, time.Duration(clock.Add(10_000))); ok {
					got.Add(1)
				}
			}
		})
	}
	all.Wait()
	// Whoever looked at the clock first may take last, so that a little is lost.
	if n := got.Load(); n < perSecond || n > burst+perSecond+1 {
		t.Errorf("%d tokens in a second, want %d", n, burst+perSecond)
	}
}

func TestOff(t *testing.T) {
	if !(rate.Limit{}).Off() || rate.New(1, 1).Off() {
		t.Error("only the zero Limit is off")
	}
}

func BenchmarkCharge(b *testing.B) {
	l := rate.New(1000, 1000)
	var m rate.Meter
	for i := range b.N {
		m.Charge(l, time.Duration(i), 1)
	}
}
