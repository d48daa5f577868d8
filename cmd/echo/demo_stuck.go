package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirnet/weir/internal/load"
	"github.com/weirnet/weir/session"
)

// stuckResult is what became of a subscriber that never read, and of the others
// meanwhile. Counts of messages are exact.
type stuckResult struct {
	policy string // empty: all read
	others load.FanResult

	// Of the stuck one. What was delivered to it the kernels on the way took.
	delivered int64
	group     session.GroupStats
	read      load.FanRead // what it got when it read at last
}

// The burst comes in parts. It ends when the stuck subscriber is behind by more than it
// may be, and at the latest when kernels that would take all of that are no kernels any
// more.
const (
	burstPart  = 128 // messages
	burstParts = 128 // together 16 MiB
)

// steady is the load under which the others are measured.
func (f *fanout) steady() load.FanRun {
	return load.FanRun{Rate: fanoutRate(f.subscribers), WarmUp: f.phase / 20, Duration: f.phase / 2}
}

// compare measures subscribers that all read.
func (f *fanout) compare(ctx context.Context) error {
	c, _, err := f.listenHub("all read", stuckSize)
	if err != nil {
		return err
	}
	f.live.begin("all read")
	return f.with(ctx, c, func(fan *load.FanChild) error {
		others, err := fan.Run(f.steady(), nil)
		f.stuck = append(f.stuck, stuckResult{others: others})
		f.verified += uint64(others.Verified)
		return err
	})
}

// stick measures the others while one subscriber more does not read:
//
//  1. it joins, and after it the others
//  2. a burst, until it is behind by more than it may be
//  3. the steady load
//  4. it reads what is left for it, which must be what was counted
func (f *fanout) stick(ctx context.Context, policy session.SlowPolicy) error {
	c, group, err := f.listenHub(policy.String(), stuckSize)
	if err != nil {
		return err
	}
	f.live.begin(fmt.Sprintf("one does not read: %s", policy))
	reader, err := load.OpenFanReader(ctx, c)
	if err != nil {
		return err
	}
	defer reader.Close()
	var stuck *session.Session
	if err := await(ctx, func() bool {
		for stuck = range group.Members {
		}
		return stuck != nil
	}); err != nil {
		return err
	}
	return f.with(ctx, c, func(fan *load.FanChild) (err error) {
		r := stuckResult{policy: policy.String()}
		if err := f.outrun(fan, group); err != nil {
			return err
		}
		if r.others, err = fan.Run(f.steady(), nil); err != nil {
			return err
		}
		f.verified += uint64(r.others.Verified)
		reader.Start()
		if err := await(ctx, func() bool { return stuck.State() == session.Closed || caughtUp(group, stuck) }); err != nil {
			return err
		}
		r.group = group.Stats()
		r.delivered = int64(stuck.Stats().MessagesOut) - r.greetings()
		if err := await(ctx, func() bool {
			r.read = reader.Report(0)
			return r.read.Closed || r.read.Messages >= r.delivered
		}); err != nil {
			return errors.Join(err, r.check())
		}
		r.read = reader.Report(readerSilence)
		f.stuck = append(f.stuck, r)
		return r.check()
	})
}

// readerSilence is how long the stuck one listens when it has got everything: nothing
// more may come.
const readerSilence = 20 * time.Millisecond

// outrun sends until the policy has acted.
func (f *fanout) outrun(fan *load.FanChild, group *session.Group) error {
	for range burstParts {
		r, err := fan.Run(load.FanRun{InFlight: 16, Messages: burstPart, Duration: time.Minute}, nil)
		if err != nil {
			return err
		}
		f.verified += uint64(r.Verified)
		if st := group.Stats(); st.Dropped+st.Closed > 0 {
			return nil
		}
	}
	return nil // the table shows it
}

// caughtUp tells whether nothing waits for s in this process.
func caughtUp(group *session.Group, s *session.Session) bool {
	return group.Stats().Queued == 0 && s.Stats().Queued == 0
}

// greetings are what was published before the load's first message, to find out who has
// joined. The stuck one was there first, and got them.
func (r *stuckResult) greetings() int64 { return int64(r.group.Published) - r.others.Sent }

// check compares what was counted with what the stuck one got. The others are exact
// already: the load has missed nothing.
func (r *stuckResult) check() error {
	read, dropped, closed := r.read, int64(r.group.Dropped), int64(r.group.Closed)
	switch {
	case read.Broken || read.Disorder > 0:
		return fmt.Errorf("the one that did not read got a broken stream: %+v", read)
	case read.Closed != (closed == 1):
		return fmt.Errorf("the one that did not read was closed: %v, counted: %d", read.Closed, closed)
	case closed == 0 && (read.Messages != r.delivered || read.Messages+dropped != r.others.Sent):
		return fmt.Errorf("the one that did not read got %d of %d; counted: %d delivered, %d dropped", read.Messages, r.others.Sent, r.delivered, dropped)
	case closed == 1 && read.Messages > r.delivered:
		return fmt.Errorf("the one that did not read got %d; counted: %d delivered", read.Messages, r.delivered)
	}
	return nil
}
