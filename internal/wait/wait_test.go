package wait_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/internal/wait"
)

// failing is a test that fails without anybody noticing.
type failing struct {
	testing.TB
	why string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestUntil(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0: "", 40 * time.Millisecond: "", time.Hour: "the end: not within 50ms",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &failing{TB: t}
			began := time.Now()
			went := false
			go func() {
				wait.Until(f, 50*time.Millisecond, "the end", func() bool { return time.Since(began) >= after })
				went = true
			}()
			time.Sleep(time.Second)
			synctest.Wait()
			if f.why != want || went != (want == "") {
				t.Errorf("after %v: went on: %v, failed with %q, want %q", after, went, f.why, want)
			}
		})
	}
}
