//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pollertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/poller/pollertest"
)

// counting is a Poller of one's own: the system's, which also counts what it told.
type counting struct {
	poller.Poller
	told int
}

func (c *counting) Poll(events []poller.Event) (int, error) {
	n, err := c.Poller.Poll(events)
	c.told += n
	return n, err
}

func (c *counting) Park(events []poller.Event, deadline time.Time) (int, error) {
	n, err := c.Poller.Park(events, deadline)
	c.told += n
	return n, err
}

func open() (poller.Poller, error) {
	p, err := poller.Open()
	if err != nil {
		return nil, err
	}
	return &counting{Poller: p}, nil
}

// The test of a Poller of one's own: the suite, on real sockets.
func Example() {
	test := func(t *testing.T) {
		pollertest.Run(t, pollertest.Backend{
			Name:   "counting",
			Open:   open,
			Kernel: pollertest.Sockets(t),
			Wakes:  10_000,
		})
	}
	_ = test // go test calls it when it is called TestCounting

	p, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	if err := p.Wake(); err != nil {
		fmt.Println(err)
		return
	}
	n, err := p.Park(make([]poller.Event, 64), time.Time{})
	fmt.Println(n, err, p.(*counting).told) // a Wake is no event
	// Output: 0 <nil> 0
}
