package poller

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openEmulated(t *testing.T, able features) (*kqueue, *emulated) {
	t.Helper()
	k, err := newEmulated(able)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openKqueue(k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return p.(*kqueue), k
}

// A pipe that nobody empties fills up, and a full one fires no more.
func TestPipeIsEmptied(t *testing.T) {
	p, _ := openEmulated(t, features{})
	pipe := p.rouser.(*pipeRouser)
	events := make([]Event, 4)
	for _, bytes := range []int{1, 63, 64, 65, 1 << 17} {
		for range bytes {
			pipe.rouse()
		}
		if n, err := p.Park(events, time.Time{}); n != 0 || err != nil {
			t.Fatalf("park: %d events, %v", n, err)
		}
		left, err := unix.IoctlGetInt(pipe.r, unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if left != 0 {
			t.Errorf("%d of %d bytes are left", left, bytes)
		}
	}
}

// countingRouser stands for one whose descriptor would have a new owner.
type countingRouser struct {
	roused int
}

func (r *countingRouser) rouse()            { r.roused++ }
func (r *countingRouser) heard(kevent) bool { return false }
func (r *countingRouser) close()            {}

// A Wake that has been told to rouse may be overtaken by Close.
func TestNoRousingAfterClose(t *testing.T) {
	p, _ := openEmulated(t, features{userEvents: true})
	rouser := &countingRouser{}
	p.rouser = rouser
	if !p.bell.sleep() {
		t.Fatal("somebody has rung")
	}
	p.rousing.Lock()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Wake(); err != nil {
			t.Errorf("wake: %v", err)
		}
	})
	for p.bell.state.Load() != rung {
		runtime.Gosched()
	}
	p.shut = true // as Close does, which here would have to win the lock
	p.rousing.Unlock()
	wg.Wait()
	if rouser.roused != 0 {
		t.Error("roused after close")
	}
}

// refusing is a kernel that refuses filters.
type refusing struct {
	*emulated
	refused map[filter]bool
}

func (k *refusing) apply(changes []change) {
	for i := range changes {
		c := &changes[i]
		if k.refused[c.filter] && (c.op == opAdd || c.op == opAddEnd) {
			c.errno = unix.EINVAL
			continue
		}
		k.emulated.apply(changes[i : i+1])
	}
}

// What the caller asked for must be there, what the backend adds may be missing.
func TestRefusedFilters(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	p, k := openEmulated(t, features{userEvents: true, urgent: true})
	for _, c := range []struct {
		interest Interest
		refused  filter
		want     error
	}{
		{Read, filterRead, unix.EINVAL},
		{Read, filterWrite, nil},
		{Read, filterUrgent, nil},
		{Read | Write, filterWrite, unix.EINVAL},
		{Read | Write, filterRead, unix.EINVAL},
		{0, filterWrite, nil},
		{0, filterRead, nil},
	} {
		p.kernel = &refusing{k, map[filter]bool{c.refused: true}}
		err := p.Add(fds[0], c.interest, 1)
		if !errors.Is(err, c.want) {
			t.Errorf("interest %d without filter %d: %v, want %v", c.interest, c.refused, err, c.want)
		}
		err = p.Remove(fds[0])
		if (err == nil) != (c.want == nil) {
			t.Errorf("interest %d without filter %d: remove: %v", c.interest, c.refused, err)
		}
	}
	p.kernel = &refusing{k, map[filter]bool{filterRead: true, filterWrite: true}}
	if err := p.Add(fds[0], 0, 1); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no filter at all: %v", err)
	}

	// Without the filter for urgent data every read is suspected.
	p.kernel = &refusing{k, map[filter]bool{filterUrgent: true}}
	if err := p.Add(fds[0], Read, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fds[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	events := make([]Event, 4)
	n, err := p.Poll(events)
	if n != 1 || err != nil || events[0].Ready != Readable|Urgent {
		t.Errorf("events %v, %v", events[:n], err)
	}
}

// A kernel takes no timeout of many years, and none is no timeout at all.
func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		deadline time.Time
		min, max time.Duration
	}{
		{time.Time{}, -1, -1},
		{time.Unix(0, 0), 0, 0},
		{time.Now().Add(time.Minute), time.Second, time.Minute},
		{time.Now().Add(1<<63 - 1), timeoutMax, timeoutMax},
		{time.Unix(1<<40, 0), timeoutMax, timeoutMax},
	} {
		if got := timeoutUntil(c.deadline); got < c.min || got > c.max {
			t.Errorf("%v: %v, want %v to %v", c.deadline, got, c.min, c.max)
		}
	}
}
