//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/poller/pollertest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// TestNative runs the suite on what Open returns here.
func TestNative(t *testing.T) {
	pollertest.Run(t, pollertest.Backend{
		Name:   "sockets",
		Open:   poller.Open,
		Kernel: pollertest.Sockets(t),
	})
}
