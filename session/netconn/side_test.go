package netconn_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/session"
)

// TestWhoWaitsOftenIsAskedRarely: a goroutine that waits long, and is not the loop that it waits
// for, is soon not asked again for every call; and one that is, is told within a second.
func TestWhoWaitsOftenIsAskedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newConnTrial(t)
		asked, isLoop := 0, false
		x.link.shared.OnLoop = func() bool { asked++; return isLoop }
		for range 1000 {
			x.in.start(make([]byte, 8))
			time.Sleep(500 * time.Millisecond)
			x.deliver(1)
			synctest.Wait()
			x.check()
		}
		if x.read != 1000 || asked == 0 || asked > 6 {
			t.Errorf("asked %d times in %d calls, want 1 to 6 in 1000", asked, x.read)
		}
		isLoop = true
		x.in.start(make([]byte, 8))
		time.Sleep(1001 * time.Millisecond)
		synctest.Wait()
		x.in.mu.Lock()
		defer x.end()
		defer x.in.mu.Unlock()
		wantError(t, "Read by the loop", x.in.err, session.ErrDeadlock)
		x.in.done = false
	})
}
