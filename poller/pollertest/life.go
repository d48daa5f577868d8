package pollertest

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
)

var lifeTests = []test{
	{"ClosedIsClosed", closedIsClosed},
	{"CloseLeavesDescriptors", closeLeavesDescriptors},
	{"WakeDuringClose", wakeDuringClose},
	{"NothingIsAllocated", nothingIsAllocated},
}

func closedIsClosed(r *rig) {
	local, _ := r.pair()
	r.add(local, poller.Read, 1)
	r.must(r.p.Close())
	_, pollErr := r.p.Poll(r.events)
	_, parkErr := r.p.Park(r.events, time.Time{})
	r.mustBe("poll", pollErr, poller.ErrClosed)
	r.mustBe("park", parkErr, poller.ErrClosed)
	r.mustBe("add", r.p.Add(local, poller.Read, 1), poller.ErrClosed)
	r.mustBe("modify", r.p.Modify(local, poller.Read, 1), poller.ErrClosed)
	r.mustBe("remove", r.p.Remove(local), poller.ErrClosed)
	r.mustBe("wake", r.p.Wake(), poller.ErrClosed)
	r.mustBe("close", r.p.Close(), poller.ErrClosed)
}

func closeLeavesDescriptors(r *rig) {
	local, peer := r.pair()
	r.add(local, poller.Read, 1)
	r.must(r.p.Close())
	r.send(local, "alive")
	second, err := r.b.Open()
	r.must(err)
	defer second.Close()
	r.p = second
	r.add(peer, poller.Read, 2)
	r.expect(2, poller.Readable)
}

// wakeDuringClose opens sockets as soon as the Poller has let go of its numbers:
// a Wake that comes too late must not write into them.
func wakeDuringClose(r *rig) {
	for range 50 {
		p, err := r.b.Open()
		r.must(err)
		var started, done sync.WaitGroup
		for range 2 {
			started.Add(1)
			done.Go(func() {
				started.Done()
				for {
					err := p.Wake()
					if errors.Is(err, poller.ErrClosed) {
						return
					}
					if err != nil {
						r.Errorf("wake: %v", err)
						return
					}
					runtime.Gosched() // the closer needs a processor too
				}
			})
		}
		started.Wait()
		if _, err := p.Park(r.events, r.b.Now()); err != nil {
			r.Errorf("park: %v", err)
		}
		r.must(p.Close())
		local, peer := r.rawPair()
		done.Wait()
		for _, fd := range []int{local, peer} {
			if n, end, err := r.recv(fd); n != 0 || end || err != nil {
				r.Errorf("a new socket got %d bytes, end %v, error %v", n, end, err)
			}
		}
		r.must(r.k.Reset(local))
		r.must(r.k.Reset(peer))
	}
}

func nothingIsAllocated(r *rig) {
	if r.b.Allocates {
		r.Log("this backend may allocate; not measured")
		return
	}
	local, peer := r.pair()
	r.add(local, poller.Read|poller.Write, 1)
	one := []byte{1}
	deadline := r.b.Now()
	checks := []struct {
		name string
		run  func()
	}{
		{"Poll", func() { r.checkCall(r.p.Poll(r.events)) }},
		{"Wake and Park", func() {
			r.must(r.p.Wake())
			r.checkCall(r.p.Park(r.events, time.Time{}))
		}},
		{"Park with an event", func() {
			if _, err := r.k.Send(peer, one); err != nil {
				r.Fatal(err)
			}
			r.checkCall(r.p.Park(r.events, time.Time{}))
		}},
		{"Park until a deadline", func() {
			deadline = deadline.Add(time.Microsecond)
			r.checkCall(r.p.Park(r.events, deadline))
		}},
	}
	for _, c := range checks {
		if n := testing.AllocsPerRun(200, c.run); n != 0 {
			r.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func (r *rig) checkCall(_ int, err error) {
	if err != nil {
		r.Fatal(err)
	}
}
