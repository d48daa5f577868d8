package poller_test

import (
	"os"
	"testing"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/poller/pollertest"
)

// TestEmulatedKqueue runs the suite on the kqueue logic, once for each kind of
// kernel that there is. The real ones need their own machines.
func TestEmulatedKqueue(t *testing.T) {
	for _, kind := range []struct {
		name               string
		userEvents, urgent bool
	}{
		{"darwin and dragonfly", true, true},
		{"freebsd", true, false},
		{"openbsd", false, true},
		{"netbsd", false, false},
	} {
		pollertest.Run(t, pollertest.Backend{
			Name:      kind.name,
			Open:      func() (poller.Poller, error) { return poller.OpenEmulated(kind.userEvents, kind.urgent) },
			Kernel:    pollertest.Sockets(t),
			Allocates: true,
			Wakes:     10_000, // the emulation is slow
		})
	}
}

// TestCloseReturnsDescriptors opens and closes many times.
func TestCloseReturnsDescriptors(t *testing.T) {
	for _, backend := range []struct {
		name string
		open func() (poller.Poller, error)
	}{
		{"epoll", poller.Open},
		{"kqueue with user events", func() (poller.Poller, error) { return poller.OpenEmulated(true, true) }},
		{"kqueue with a pipe", func() (poller.Poller, error) { return poller.OpenEmulated(false, false) }},
	} {
		t.Run(backend.name, func(t *testing.T) {
			before := countDescriptors(t)
			for range 100 {
				p, err := backend.open()
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Wake(); err != nil {
					t.Error(err)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
			if after := countDescriptors(t); after > before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

func countDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
