//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	probeLinks    = 2                    // of each server
	probeInterval = 4 * time.Millisecond // between two messages of a link
	probeSize     = 64                   // bytes
)

// probe is the load that never changes: a few connections to a server that lasts, each
// of which sends a numbered message every few milliseconds and wants it back.
type probe struct {
	links []*probeLink
}

type probeLink struct {
	*link
	number uint64
}

func startProbe(address string) (*probe, error) {
	p := new(probe)
	for range probeLinks {
		l, err := dial(address, false)
		if err != nil {
			p.close()
			return nil, err
		}
		p.links = append(p.links, &probeLink{link: l})
	}
	return p, nil
}

func (p *probe) close() {
	for _, l := range p.links {
		l.Close()
	}
}

// untilDone is a number of round trips that is never reached.
const untilDone = math.MaxInt

// run makes round trips on all links until ctx is done, n on each at most, and returns
// how long each took. No answer is under way when it returns, if there is no error.
func (p *probe) run(ctx context.Context, n int) (took []time.Duration, err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, l := range p.links {
		all.Go(func() {
			mine, failed := l.run(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if failed != nil {
				err = failed
			}
		})
	}
	all.Wait()
	return took, err
}

func (l *probeLink) run(ctx context.Context, n int) (took []time.Duration, err error) {
	ticks := time.NewTicker(probeInterval)
	defer ticks.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return took, nil
		case <-ticks.C:
		}
		l.number++
		message := numbered(l.number, probeSize)
		began := time.Now()
		if err := l.ask(message); err != nil {
			return took, fmt.Errorf("probe: message %d: %w", l.number, err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// p99 is what all but one in a hundred are below; 0 of none.
func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
