package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/load"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// fanout is the demonstration of one message to many. Hubs, as -reply all serves, are in
// this process. A publisher and the subscribers are in another one and compare every
// byte; for the end of the story, one more subscriber is in this process, which costs
// nothing since it does not read.
type fanout struct {
	*demo
	subscribers int

	window load.FanResult // as fast as it goes
	paced  load.FanResult // at a fixed rate
	stuck  []stuckResult
}

// Messages are small, and a window of them is under way. Those that fill the buffers of
// a subscriber that does not read are larger.
const (
	fanoutSize   = 64 // bytes
	fanoutWindow = 64 // messages
	stuckSize    = 1 << 10
)

// How many subscribers the demo has, if nothing else is said, and at most: as many as
// the load takes.
const (
	fanoutFew = 100
	fanoutMax = 1 << 17
)

// fanoutQueue is by how many bytes a session may be behind: by twice what the load ever
// has under way, so that only one which does not read is behind by more.
const fanoutQueue = 2 * load.FanBacklog * stuckSize

// fanoutRate is how many messages a second make 90,000 deliveries a second, which leaves
// most of a small machine idle, and at most a thousand.
func fanoutRate(subscribers int) float64 {
	return float64(max(1, min(90_000/subscribers, 1000)))
}

// fanoutGroup tells how the demo's groups treat those that do not keep up: by the policy
// that they have their name of.
func fanoutGroup(name string) session.GroupConfig {
	c := session.GroupConfig{QueueBytes: fanoutQueue}
	for _, policy := range slowPolicies {
		if policy.String() == name {
			c.Slow = policy
		}
	}
	return c
}

// run is the story:
//
//  1. start the server
//  2. as fast as it goes: a message more whenever the last subscriber has one
//  3. at a fixed rate: how long until the last has a message, and until each has it
//  4. with one subscriber that never reads, for each policy, and before without
//  5. stop the server, and tell
func (f *fanout) run(ctx context.Context, mode engine.Mode, out io.Writer) error {
	// Warnings would tell of the session that is closed on purpose.
	if err := f.startEngine(mode, engine.WithLogger(engine.NewZerolog(os.Stderr, engine.Error))); err != nil {
		return err
	}
	defer f.engine.Close()
	fmt.Fprintf(out, "echo: demo of one message to %s sessions (%s, loops: %d), which are in another process\n",
		formatCount(uint64(f.subscribers)), mode, f.engine.Stats().Loops)
	if err := f.spread(ctx, f.phase, f.phase); err != nil {
		return err
	}
	if err := f.compare(ctx); err != nil {
		return err
	}
	for _, policy := range slowPolicies {
		if err := f.stick(ctx, policy); err != nil {
			return fmt.Errorf("policy %s: %w", policy, err)
		}
	}
	if err := f.stop(ctx); err != nil {
		return err
	}
	f.live.end()
	f.report(out)
	return nil
}

// listenHub listens with a hub whose group has that name.
func (f *fanout) listenHub(name string, size int) (load.FanConfig, *session.Group, error) {
	c := load.FanConfig{Publishers: 1, Subscribers: f.subscribers, MessageSize: size}
	codec, err := frame.NewFixed(size)
	if err != nil {
		return c, nil, err
	}
	group := f.engine.Group(name)
	l, err := f.engine.Listen("tcp", "127.0.0.1:0", session.Framed(hub{group}, codec))
	if err != nil {
		return c, nil, err
	}
	c.Address = l.Addr().String()
	return c, group, nil
}

// with opens the connections, in another process, for do. Those of earlier loads are
// gone before.
func (f *fanout) with(ctx context.Context, c load.FanConfig, do func(*load.FanChild) error) error {
	gone := func() bool { return f.engine.Stats().Sessions <= 1 } // the one that does not read
	if err := await(ctx, gone); err != nil {
		return err
	}
	fan, err := load.StartFan(ctx, f.exe, []string{loadCommand}, c)
	if err != nil {
		return err
	}
	return errors.Join(do(fan), fan.Close())
}

// spread measures steps 2 and 3, each for its time; 0 leaves the latter out.
func (f *fanout) spread(ctx context.Context, window, paced time.Duration) error {
	c, _, err := f.listenHub("spread", fanoutSize)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("one message to %s sessions", formatCount(uint64(f.subscribers)))
	f.live.begin(name)
	err = f.with(ctx, c, func(fan *load.FanChild) (err error) {
		f.window, err = fan.Run(load.FanRun{InFlight: fanoutWindow, WarmUp: window / 10, Duration: window}, nil)
		if err != nil || paced == 0 {
			return err
		}
		f.live.begin(name + ", at a fixed rate")
		f.paced, err = fan.Run(load.FanRun{Rate: fanoutRate(f.subscribers), WarmUp: paced / 10, Duration: paced}, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f.verified += uint64(f.window.Verified + f.paced.Verified)
	return nil
}
