package engine_test

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// baseline is what the process held before an engine started: it must hold the
// same when the engine has ended.
type baseline struct {
	goroutines goleak.Option
	files      int
}

// warmUp makes the runtime open the descriptors that it keeps for good.
var warmUp = sync.OnceFunc(func() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
})

func takeBaseline(t testing.TB) baseline {
	t.Helper()
	warmUp()
	return baseline{goroutines: goleak.IgnoreCurrent(), files: openFiles(t)}
}

func (b baseline) mustHold(t testing.TB) {
	t.Helper()
	// It looks for half a second, which is not long for one that has yet to end.
	deadline := time.Now().Add(patience)
	err := goleak.Find(b.goroutines)
	for err != nil && time.Now().Before(deadline) {
		err = goleak.Find(b.goroutines)
	}
	if err != nil {
		t.Errorf("goroutines left: %v", err)
	}
	if b.files < 0 {
		return
	}
	until(t, "descriptors back to where they were", func() bool { return openFiles(t) <= b.files })
}

// openFiles counts this process's descriptors, the one that it counts with
// included; -1 where the system does not tell.
func openFiles(t testing.TB) int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if entries, err := os.ReadDir(dir); err == nil {
			return len(entries)
		}
	}
	t.Log("this system does not tell which descriptors are open: not checked")
	return -1
}
