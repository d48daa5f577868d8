package session_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// pooled has the test run the strand, as workers do.
func pooled(sh *transport.Shared) { sh.Pooled = true }

// work runs the strand until nothing is left, if the loop was told that it is due.
func (r *rig) work(st transport.Status) {
	r.t.Helper()
	if st&transport.Due == 0 {
		r.t.Fatalf("status %09b, want Due", st)
	}
	for r.driver.Run(r.shared) {
	}
}

// A hang-up that is seen behind the peer's FIN, while the strand has yet to act on
// that, must not be forgotten: nobody would close the session.
func TestAbortBehindFINIsKept(t *testing.T) {
	r := newRig(t, &parts{}, pooled)
	st, _ := r.driver.Open()
	r.work(st)
	due := r.driver.PeerClosed()
	r.driver.Broken(syscall.ECONNRESET)
	r.link.otherwise = &again
	r.work(due)
	if st := r.driver.Status(); st&transport.Aborted == 0 {
		t.Errorf("status %09b, want Aborted", st)
	}
	if got := r.close(); got.Reason != session.ReasonPeerClosed {
		t.Errorf("closed because of %v, want the first reason", got)
	}
	for r.driver.Run(r.shared) {
	}
}

// What is read while a session drains is thrown away, and counted.
func TestDiscardedInputIsCounted(t *testing.T) {
	for name, change := range map[string]func(*transport.Shared){"inline": func(*transport.Shared) {}, "pool": pooled} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &parts{}, change)
			r.driver.Open()
			r.driver.Run(r.shared)
			wantError(t, "Close", r.session.Close(), nil)
			r.deliver("too late")
			got := r.close()
			if got.Unhandled != len("too late") {
				t.Errorf("%d bytes unhandled, want %d", got.Unhandled, len("too late"))
			}
			r.driver.Run(r.shared)
			if len(r.closes) != 1 || !strings.Contains(r.closes[0].Error(), "8 bytes unhandled") {
				t.Errorf("OnClose got %v", r.closes)
			}
		})
	}
}

// TestDoneIsOneNumberForOneHandler: what the engine tells handlers by stays the same while one
// runs, whatever others leave for the session meanwhile, and differs from that of the next.
func TestDoneIsOneNumberForOneHandler(t *testing.T) {
	bothWays(t, func(t *testing.T, change func(*transport.Shared)) {
		var r *rig
		var seen []uint64
		look := func() {
			before, atWork, ok := r.driver.Done()
			if !atWork || !ok {
				t.Errorf("at work: %v, looked: %v", atWork, ok)
			}
			must(t, r.session.Post(func() { // the first time there is no strand yet
				task, _, _ := r.driver.Done()
				seen = append(seen, task)
			}))
			if after, _, _ := r.driver.Done(); after != before {
				t.Errorf("%d, and %d in the same handler", before, after)
			}
			seen = append(seen, before)
		}
		h := &watcher{look: look}
		h.message = func(*session.Session, session.Frame) { look() }
		r = newRig(t, h, change)
		st, _ := r.driver.Open()
		r.look(st)
		r.look(r.deliver("x"))
		r.link.otherwise = &again
		r.send(strings.Repeat("x", testHigh+1))
		r.look(r.driver.Status()) // OnBackpressure
		if len(seen) != 4 {
			t.Fatalf("%d handlers were seen, want 4", len(seen))
		}
		slices.Sort(seen)
		if got := len(slices.Compact(seen)); got != 4 {
			t.Errorf("%d numbers for 4 handlers", got)
		}
		r.close()
	})
}

// watcher is a handler that looks when it is told of the water marks.
type watcher struct {
	parts
	look func()
}

func (p *watcher) OnBackpressure(*session.Session) { p.look() }
func (p *watcher) OnWritable(*session.Session)     {}
