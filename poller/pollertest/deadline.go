package pollertest

import (
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/poller"
)

var deadlineTests = []test{
	{"PastDeadlineReturnsAtOnce", pastDeadlineReturnsAtOnce},
	{"PastDeadlineStillTells", pastDeadlineStillTells},
	{"NearDeadlineIsKept", nearDeadlineIsKept},
	{"SameDeadlineAgain", sameDeadlineAgain},
	{"DeadlineChanges", deadlineChanges},
	{"WakeLeavesTheDeadline", wakeLeavesTheDeadline},
	{"FarDeadlineEndsByEvent", farDeadlineEndsByEvent},
}

// near is far enough for a Park to be really waiting.
const near = 20 * time.Millisecond

// parkUntil parks until the deadline has passed on the backend's clock.
func (r *rig) parkUntil(deadline time.Time) {
	r.Helper()
	expired, stop := r.guard("a deadline")
	for r.b.Now().Before(deadline) && !expired.Load() {
		r.park(deadline)
	}
	stop()
}

// notBusy checks how often Park returned. Early returns are allowed, but they
// must be exceptions: a loop that is always roused burns a processor.
func (r *rig) notBusy(limit int) {
	r.Helper()
	if r.parks > limit {
		r.Errorf("Park returned %d times, want at most %d", r.parks, limit)
	}
	r.parks = 0
}

func pastDeadlineReturnsAtOnce(r *rig) {
	_, stop := r.guard("Parks whose deadline is past")
	past := r.b.Now().Add(-time.Hour)
	for range 10 {
		r.park(past)
		r.park(r.b.Now().Add(-time.Nanosecond))
		r.park(time.Unix(0, 0))
	}
	stop()
}

// pastDeadlineStillTells needs every event from Parks that do not wait.
func pastDeadlineStillTells(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read, 1)
	past := r.b.Now().Add(-time.Second)
	r.park(past)
	for range 5 {
		r.forget()
		r.send(peer, "x")
		expired, stop := r.guard("an event from a Park whose deadline is past")
		for r.seen[1]&poller.Readable == 0 && !expired.Load() {
			r.park(past)
		}
		stop()
	}
}

func nearDeadlineIsKept(r *rig) {
	for range 3 {
		r.parkUntil(r.b.Now().Add(near))
		r.notBusy(20)
	}
	// Nothing is left of it for a Park that has none.
	r.endsByWakeOnly(time.Time{})
}

// sameDeadlineAgain uses one that has expired before.
func sameDeadlineAgain(r *rig) {
	deadline := r.b.Now().Add(near)
	r.parkUntil(deadline)
	_, stop := r.guard("Parks whose deadline has expired")
	for range 5 {
		r.park(deadline)
	}
	stop()
	r.parks = 0
	r.parkUntil(r.b.Now().Add(near))
	r.notBusy(20)
}

func deadlineChanges(r *rig) {
	soon := r.b.Now().Add(near)
	later := soon.Add(time.Hour)

	// Earlier than the one before it, which a Wake cut short.
	r.must(r.p.Wake())
	r.park(later)
	r.parkUntil(soon)
	r.notBusy(20)

	// Later again: the expired one must not end it all the time.
	r.must(r.p.Wake())
	r.park(soon)
	r.endsByWakeOnly(later)
	r.endsByWakeOnly(time.Time{})

	r.parkUntil(r.b.Now().Add(near))
	r.notBusy(20)
}

// wakeLeavesTheDeadline parks with one that has not changed since a Wake.
func wakeLeavesTheDeadline(r *rig) {
	later := r.b.Now().Add(time.Hour)
	for range 3 {
		r.endsByWakeOnly(time.Time{})
	}
	for range 3 {
		r.endsByWakeOnly(later)
	}
}

// endsByWakeOnly parks until another goroutine wakes, and counts the returns.
// A virtual clock may reach the deadline first.
func (r *rig) endsByWakeOnly(deadline time.Time) {
	r.Helper()
	r.parks = 0
	var called atomic.Bool
	done := make(chan struct{})
	timer := time.AfterFunc(near, func() {
		defer close(done)
		called.Store(true)
		if err := r.p.Wake(); err != nil {
			r.Errorf("wake: %v", err)
		}
	})
	expired, stop := r.guard("a Wake")
	for !called.Load() && !expired.Load() {
		if !deadline.IsZero() && !r.b.Now().Before(deadline) {
			break
		}
		r.park(deadline)
	}
	if !timer.Stop() {
		<-done
	}
	stop()
	r.notBusy(20)
}

func farDeadlineEndsByEvent(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read, 1)
	r.settle()
	for _, far := range []time.Duration{time.Hour, 24 * 365 * time.Hour, 1<<63 - 1} {
		r.send(peer, "x")
		deadline := r.b.Now().Add(far)
		expired, stop := r.guard("an event before a far deadline")
		for r.seen[1]&poller.Readable == 0 && !expired.Load() {
			r.park(deadline)
		}
		stop()
		r.notBusy(20)
		r.settle()
	}
}
