//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/poller/pollertest"
)

func openPoller(b *testing.B) poller.Poller {
	b.Helper()
	p, err := poller.Open()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	return p
}

// BenchmarkPollEmpty is what a look costs that finds nothing.
func BenchmarkPollEmpty(b *testing.B) {
	p := openPoller(b)
	events := make([]poller.Event, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Poll(events); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWakePark is a round trip: two loops rouse each other in turn.
func BenchmarkWakePark(b *testing.B) {
	loops := [2]poller.Poller{openPoller(b), openPoller(b)}
	rounds := int64(b.N)
	var turn atomic.Int64 // even: of loop 0
	play := func(self int64) {
		events := make([]poller.Event, 1)
		for own := self; own < 2*rounds; own += 2 {
			for turn.Load() != own {
				if _, err := loops[self].Park(events, time.Time{}); err != nil {
					b.Error(err)
					return
				}
			}
			turn.Add(1)
			if err := loops[1-self].Wake(); err != nil {
				b.Error(err)
				return
			}
		}
	}
	b.ReportAllocs()
	var wg sync.WaitGroup
	wg.Go(func() { play(1) })
	play(0)
	wg.Wait()
}

// BenchmarkReady1of1000 sends one byte, parks, and reads it, with a thousand
// descriptors registered.
func BenchmarkReady1of1000(b *testing.B) {
	const count = 1000
	k := pollertest.Sockets(b)
	p := openPoller(b)
	var fds [count]int
	for i := 0; i < count; i += 2 {
		local, peer, err := k.Pair()
		if err != nil {
			b.Fatal(err)
		}
		fds[i], fds[i+1] = local, peer
	}
	defer func() {
		for _, fd := range fds {
			_ = k.Reset(fd)
		}
	}()
	for i, fd := range fds {
		if err := p.Add(fd, poller.Read, poller.Token(i)); err != nil {
			b.Fatal(err)
		}
	}
	events := make([]poller.Event, 64)
	buf := make([]byte, 64)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := k.Send(fds[i], buf[:1]); err != nil {
			b.Fatal(err)
		}
		for got := false; !got; {
			n, err := p.Park(events, time.Time{})
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range events[:n] {
				if _, err := k.Recv(fds[e.Token], buf); err != nil {
					b.Fatal(err)
				}
				got = true
			}
		}
		i = (i + 1) % count
	}
}
