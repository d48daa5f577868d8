package session_test

import (
	"testing"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// What is held for a session: output that waits, input that waits, and what groups have
// for it.
func TestHeld(t *testing.T) {
	r := newRig(t, &parts{}, pooled)
	opened, _ := r.driver.Open()
	r.work(opened)
	want := func(bytes int, when string) {
		t.Helper()
		if got := r.driver.Held(); got != bytes {
			t.Errorf("%d bytes are held %s, want %d", got, when, bytes)
		}
	}
	want(0, "at first")
	r.link.otherwise = &again
	r.send("ten bytes.")
	want(10, "that were sent")
	st := r.deliver("seven b")
	want(17, "with input that waits")
	r.work(st)
	want(10, "when it was handled")
	r.close()
	for r.driver.Run(r.shared) {
	}
	want(0, "after its end")
}

func TestHeldOfGroups(t *testing.T) {
	h, g, good, stuck := stuckIn(t, session.GroupConfig{Slow: session.DropOldest}, 150)
	for n := range 10 {
		h.publish(g, piece(n))
	}
	held := func(m *member) int { return session.Drive(m.session, transport.Key{}).Held() }
	if got := held(good); got != 0 {
		t.Errorf("%d bytes are held for one who reads", got)
	}
	if got := held(stuck); got < 850 || got > 850+10*64 {
		t.Errorf("%d bytes are held for one who has 850 to come", got)
	}
	stuck.thaw()
	h.run()
	if got := held(stuck); got != 0 {
		t.Errorf("%d bytes are held when it has read them", got)
	}
	h.mustEndClean()
}
