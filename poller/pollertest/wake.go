package pollertest

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
)

var wakeTests = []test{
	{"WakeBeforePark", wakeBeforePark},
	{"WakeDuringPark", wakeDuringPark},
	{"WakesAreCoalesced", wakesAreCoalesced},
	{"NoWakeIsLostInAFlood", noWakeIsLostInAFlood},
	{"NoWakeIsLostOneByOne", noWakeIsLostOneByOne},
	{"NoWakeIsLostAmongEventsAndDeadlines", noWakeIsLostAmongEventsAndDeadlines},
	{"NoWakeIsLostToSignals", noWakeIsLostToSignals},
}

// wakeCount is how many Wakes the largest test makes.
func (r *rig) wakeCount() int {
	switch {
	case r.b.Wakes != 0:
		return r.b.Wakes
	case raceEnabled || testing.Short():
		return 100_000
	default:
		return 1_000_000
	}
}

func wakeBeforePark(r *rig) {
	expired, stop := r.guard("a Park to return for a Wake before it")
	for range 100 {
		r.must(r.p.Wake())
		r.park(time.Time{})
	}
	stop()
	if expired.Load() {
		r.Error("only the watchdog ended it")
	}
}

func wakeDuringPark(r *rig) {
	var called atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		called.Store(true)
		if err := r.p.Wake(); err != nil {
			r.Errorf("wake: %v", err)
		}
	})
	r.until("a Wake from elsewhere", called.Load)
}

// wakesAreCoalesced counts the Parks that many Wakes end.
func wakesAreCoalesced(r *rig) {
	for range 10_000 {
		r.must(r.p.Wake())
	}
	r.park(time.Time{})
	r.parkUntil(r.b.Now().Add(20 * time.Millisecond))
	if r.parks > 20 {
		r.Errorf("10000 Wakes ended %d Parks", r.parks)
	}
}

// mailbox is what Wakes are for: a counter of items that the owner takes.
type mailbox struct {
	r     *rig
	items atomic.Int64
	taken atomic.Int64
}

// post may be called from any goroutine.
func (m *mailbox) post() {
	m.items.Add(1)
	if err := m.r.p.Wake(); err != nil {
		m.r.Errorf("wake: %v", err)
	}
}

// take is for the owner, after a Park or Poll.
func (m *mailbox) take() int64 {
	return m.taken.Add(m.items.Swap(0))
}

func noWakeIsLostInAFlood(r *rig) {
	const producers = 4
	m := &mailbox{r: r}
	each := r.wakeCount() / producers
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for range each {
				m.post()
			}
		})
	}
	r.until("all items of a flood", func() bool { return m.take() >= int64(each*producers) })
	wg.Wait()
}

// noWakeIsLostOneByOne makes every single Wake count.
func noWakeIsLostOneByOne(r *rig) {
	r.oneByOne(int64(r.wakeCount() / 4))
}

// oneByOne has another goroutine post the next item when the last one was taken,
// so that a lost Wake leaves both sides waiting.
func (r *rig) oneByOne(rounds int64) {
	r.Helper()
	m := &mailbox{r: r}
	next := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range next {
			m.post()
		}
	})
	defer wg.Wait()
	defer close(next)
	asked := int64(0)
	r.until("the next item", func() bool {
		if m.take() == asked {
			asked++
			if asked <= rounds {
				next <- struct{}{}
			}
		}
		return asked > rounds
	})
}

// noWakeIsLostAmongEventsAndDeadlines mixes all that ends a Park.
func noWakeIsLostAmongEventsAndDeadlines(r *rig) {
	rounds := r.wakeCount() / 20
	local, peer := r.pair()
	r.add(local, poller.Read, 1)
	m := &mailbox{r: r}
	next := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		round := 0
		for range next {
			if round++; round%3 == 0 {
				if _, err := r.k.Send(peer, []byte("x")); err != nil && !isAgain(err) {
					r.Errorf("send: %v", err)
				}
			}
			m.post()
		}
	})
	defer wg.Wait()
	defer close(next)

	expired, stop := r.guard("the next item")
	asked := int64(0)
	for turn := 0; asked <= int64(rounds) && !expired.Load(); turn++ {
		if m.take() == asked {
			asked++
			if asked > int64(rounds) {
				break
			}
			next <- struct{}{}
		}
		switch turn % 4 {
		case 0:
			r.park(r.b.Now().Add(time.Duration(turn%100) * time.Microsecond))
		case 1:
			r.poll()
		default:
			r.park(time.Time{})
		}
		if r.seen[1] != 0 {
			if _, _, err := r.recv(local); err != nil {
				r.Fatalf("recv: %v", err)
			}
			clear(r.seen)
		}
	}
	stop()
}

// noWakeIsLostToSignals interrupts the waiting system calls all the time.
func noWakeIsLostToSignals(r *rig) {
	if err := r.k.Interrupt(); errors.Is(err, errors.ErrUnsupported) {
		r.Log("ATTENTION: this kernel has no interruptions; that they lose no Wake has not been tested")
		return
	}
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !over.Load() {
			if err := r.k.Interrupt(); err != nil {
				r.Errorf("interrupt: %v", err)
				return
			}
			runtime.Gosched() // on one processor the others would wait for it
		}
	})
	defer wg.Wait()
	defer over.Store(true)
	r.oneByOne(1_000)
}
