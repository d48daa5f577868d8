// Package pollertest is the conformance suite of package poller: what the
// contract promises, as tests that every backend passes, on real sockets or on
// any other kernel that can be put behind the Kernel interface.
//
// The suite never sleeps. It parks until what must come has come; a watchdog
// makes that a failure after a while, where nothing comes.
package pollertest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
)

// Backend is a Poller to be tested and the descriptors that it can watch.
type Backend struct {
	// Name is that of the subtest that all others are under.
	Name string

	// Open returns a new Poller that knows the descriptors of Kernel.
	Open func() (poller.Poller, error)

	// Kernel makes descriptors. Nothing else touches them.
	Kernel Kernel

	// Now is the clock of the deadlines; nil means time.Now. On a virtual clock
	// a Park with a deadline may jump to it, if nothing happens first.
	Now func() time.Time

	// Allocates says that Poll, Park and Wake may allocate memory, which those
	// of a backend that ships must not.
	Allocates bool

	// Wakes is how many Wakes the largest test makes; the others make a fraction
	// of it. 0 means a million, or a tenth with -short or the race detector.
	Wakes int
}

// Kernel is what the suite needs of the sockets below a Poller. Errors are
// errnos, wrapped or not. All methods may be called from any goroutine.
type Kernel interface {
	// Pair returns two connected, non-blocking stream sockets. Like a Unix
	// kernel it should hand out the lowest free numbers: the suite wants to see
	// numbers again.
	Pair() (local, peer int, err error)

	// Send writes what fits; EAGAIN if nothing does.
	Send(fd int, p []byte) (int, error)

	// Recv reads what is there; zero without error is the end, EAGAIN says that
	// nothing has come.
	Recv(fd int, p []byte) (int, error)

	// SendUrgent sends one byte out of band. It may return
	// errors.ErrUnsupported; then urgent data is not tested, and the log says so.
	SendUrgent(fd int, b byte) error

	// CloseWrite ends the direction that fd sends in.
	CloseWrite(fd int) error

	// Reset closes fd so that its peer sees an error (ECONNRESET).
	Reset(fd int) error

	// Close closes fd.
	Close(fd int) error

	// Interrupt makes a system call that waits return EINTR, somewhere in the
	// process. It may return errors.ErrUnsupported, as SendUrgent.
	Interrupt() error

	// Capacity is how many more descriptors can be open at once.
	Capacity() int
}

// Run tests b against the contract.
func Run(t *testing.T, b Backend) {
	if b.Now == nil {
		b.Now = time.Now
	}
	t.Run(b.Name, func(t *testing.T) {
		for _, group := range [][]test{registrationTests, readinessTests, wakeTests, deadlineTests, lifeTests} {
			for _, c := range group {
				t.Run(c.name, func(t *testing.T) { c.run(newRig(t, b)) })
			}
		}
	})
}

type test struct {
	name string
	run  func(*rig)
}

// patience bounds how long the suite waits for what must come. It is long
// because the machine may be busy; a passing run never comes near it.
const patience = 30 * time.Second

// rig is one test's Poller with what it has told so far.
type rig struct {
	*testing.T
	b      Backend
	k      Kernel
	p      poller.Poller
	events []poller.Event
	seen   map[poller.Token]poller.Ready // since the last forget
	parks  int                           // Parks that returned
}

func newRig(t *testing.T, b Backend) *rig {
	t.Helper()
	p, err := b.Open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	r := &rig{T: t, b: b, k: b.Kernel, p: p, events: make([]poller.Event, 64)}
	r.forget()
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, poller.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// must stops the test at an error.
func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// mustBe checks an error against the one that is due.
func (r *rig) mustBe(call string, err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Errorf("%s: error %v, want %v", call, err, want)
	}
}

// pair opens two sockets that are closed with the test. A test that closes one
// itself uses rawPair.
func (r *rig) pair() (local, peer int) {
	r.Helper()
	local, peer = r.rawPair()
	r.Cleanup(func() {
		// Reset leaves no TIME_WAIT behind, of which many tests would make many.
		_ = r.k.Reset(local)
		_ = r.k.Reset(peer)
	})
	return local, peer
}

func (r *rig) rawPair() (local, peer int) {
	r.Helper()
	local, peer, err := r.k.Pair()
	if err != nil {
		r.Fatalf("pair: %v", err)
	}
	return local, peer
}

func (r *rig) add(fd int, interest poller.Interest, token poller.Token) {
	r.Helper()
	r.must(r.p.Add(fd, interest, token))
}

func (r *rig) send(fd int, text string) {
	r.Helper()
	n, err := r.k.Send(fd, []byte(text))
	if err != nil || n != len(text) {
		r.Fatalf("send: %d, %v", n, err)
	}
}

// recv reads until nothing more is there and returns how much came. A stream's
// end and errors other than EAGAIN are returned as they are.
func (r *rig) recv(fd int) (total int, end bool, err error) {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.k.Recv(fd, buf)
		total += n
		switch {
		case err != nil && isAgain(err):
			return total, false, nil
		case err != nil:
			return total, false, err
		case n == 0:
			return total, true, nil
		}
	}
}

func isAgain(err error) bool {
	return errors.Is(err, syscall.EAGAIN)
}

// forget starts a new record of what was told.
func (r *rig) forget() {
	r.seen = make(map[poller.Token]poller.Ready)
}

// record adds what a Poll or Park returned.
func (r *rig) record(n int, err error) int {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	for _, e := range r.events[:n] {
		if e.Ready == 0 {
			r.Errorf("event of token %#x tells nothing", e.Token)
		}
		r.seen[e.Token] |= e.Ready
	}
	return n
}

func (r *rig) poll() int {
	r.Helper()
	return r.record(r.p.Poll(r.events))
}

func (r *rig) park(deadline time.Time) int {
	r.Helper()
	n, err := r.p.Park(r.events, deadline)
	r.parks++
	return r.record(n, err)
}

// guard fails the test if it has not been stopped for too long. It rouses the
// Poller, so that a Park that nothing else ends is left.
func (r *rig) guard(what string) (expired *atomic.Bool, stop func()) {
	expired = new(atomic.Bool)
	timer := time.AfterFunc(patience, func() {
		expired.Store(true)
		_ = r.p.Wake()
	})
	return expired, func() {
		timer.Stop()
		if expired.Load() {
			r.Helper()
			r.Fatalf("waited in vain: %s; told so far: %v", what, describe(r.seen))
		}
	}
}

// until parks until done.
func (r *rig) until(what string, done func() bool) {
	r.Helper()
	expired, stop := r.guard(what)
	for !done() && !expired.Load() {
		r.park(time.Time{})
	}
	stop()
}

// expect parks until token has told all of ready.
func (r *rig) expect(token poller.Token, ready poller.Ready) {
	r.Helper()
	r.until(fmt.Sprintf("token %#x to tell %s", token, describeReady(ready)), func() bool {
		return r.seen[token]&ready == ready
	})
}

// settle polls until nothing is told any more, which shows that events are not
// repeated, and starts a new record. A level-triggered backend never settles.
func (r *rig) settle() {
	r.Helper()
	const enough, limit = 3, 200
	for empty, polls := 0, 0; empty < enough; polls++ {
		if polls == limit {
			r.Fatalf("events are repeated without a change: %v", describe(r.seen))
		}
		if r.poll() == 0 {
			empty++
		} else {
			empty = 0
		}
	}
	r.forget()
}

// never checks that token has told none of ready.
func (r *rig) never(token poller.Token, ready poller.Ready) {
	r.Helper()
	if bad := r.seen[token] & ready; bad != 0 {
		r.Errorf("token %#x told %s", token, describeReady(bad))
	}
}

func describe(seen map[poller.Token]poller.Ready) string {
	if len(seen) > 16 {
		return fmt.Sprintf("events of %d tokens", len(seen))
	}
	text := "{"
	for token, ready := range seen {
		text += fmt.Sprintf(" %#x:%s", token, describeReady(ready))
	}
	return text + " }"
}

func describeReady(ready poller.Ready) string {
	names := [...]string{"Readable", "Writable", "ReadClosed", "HangUp", "Failed", "Urgent"}
	text := ""
	for i, name := range names {
		if ready&(1<<i) != 0 {
			if text != "" {
				text += "|"
			}
			text += name
		}
	}
	return text
}
