//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weirnet/weir/session"
)

// publishStep is how many messages are published before those who keep up have them
// all: by so much a member is behind that is only waiting for its turn.
const publishStep = 16

// publishRate is how many messages a second are published by one act.
const publishRate = 300

// audience is the members of a group that keep up, and whoever publishes.
type audience struct {
	group     string
	publisher *link
	members   []*link
}

// groupNumbers make the names of groups differ.
type groupNumbers struct{ last atomic.Int64 }

func (g *groupNumbers) name(policy session.SlowPolicy) string {
	return fmt.Sprint(policy, "/", g.last.Add(1))
}

// gather has n members join a group of a policy.
func gather(s *stage, policy session.SlowPolicy, n int) (*audience, error) {
	a := &audience{group: s.groups.name(policy)}
	links, err := s.dialMany(n+1, false)
	if err != nil {
		return nil, err
	}
	a.publisher, a.members = links[0], links[1:]
	for _, l := range a.members {
		if err := l.ask(a.joining()); err != nil {
			a.leave()
			return nil, err
		}
	}
	return a, nil
}

func (a *audience) joining() []byte { return append([]byte{verbJoin}, a.group...) }

func (a *audience) leave() {
	a.publisher.Close()
	closeAll(a.members)
}

// publish publishes n numbered messages, and wants each member to get each in order.
func (a *audience) publish(ctx context.Context, s *stage, n, size int) error {
	p := newPace(publishRate / publishStep)
	defer p.stop()
	for from := 0; from < n && ctx.Err() == nil; from += publishStep {
		p.wait()
		to := min(from+publishStep, n)
		if err := a.step(from, to, size); err != nil {
			return err
		}
		s.note(func(b *books) {
			due := int64(to-from) * int64(len(a.members))
			b.published += int64(to - from)
			b.dueLeast += due
			b.dueMost += due
		})
	}
	return nil
}

func (a *audience) step(from, to, size int) error {
	for i := from; i < to; i++ {
		if err := a.publisher.send([]byte{verbPublish}, []byte(a.group), []byte{0}, numbered(uint64(i), size)); err != nil {
			return err
		}
	}
	for range to - from {
		if _, err := a.publisher.receive(); err != nil {
			return fmt.Errorf("publisher: %w", err)
		}
	}
	for m, l := range a.members {
		for want := from; want < to; want++ {
			got, err := l.receive()
			if err != nil {
				return fmt.Errorf("member %d: message %d of %s: %w", m, want, a.group, err)
			}
			if number, err := numberOf(got); err != nil || number != uint64(want) {
				return fmt.Errorf("member %d of %s: got message %d, want %d: %v", m, a.group, number, want, err)
			}
		}
	}
	return nil
}

// fanOut: all members of a group get all that is published.
type fanOut struct{ Members, Messages, Size int }

func drawFanOut(d dice) act { return fanOut{d.between(10, 40), d.between(100, 400), d.size(2 << 10)} }

func (a fanOut) play(ctx context.Context, s *stage) error {
	all, err := gather(s, session.CloseSlow, a.Members)
	if err != nil {
		return err
	}
	defer all.leave()
	return all.publish(ctx, s, a.Messages, a.Size)
}

// slowMember: one member of a group reads slowly. The others get everything; the slow
// one gets what its group's policy leaves it, in order, and the rest is counted.
type slowMember struct {
	Policy            session.SlowPolicy
	Members, Messages int
}

func drawSlowMember(d dice) act {
	return slowMember{policies[d.IntN(len(policies))], d.between(3, 10), 250}
}

// slowSize is how long the messages are, bytes: all together are more than the kernel
// and the group keep for a member.
const slowSize = 1 << 10

func (a slowMember) play(ctx context.Context, s *stage) error {
	all, err := gather(s, a.Policy, a.Members)
	if err != nil {
		return err
	}
	defer all.leave()
	l, err := s.dial(true)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := errors.Join(l.ask([]byte{verbNarrow}), l.ask(all.joining())); err != nil {
		return err
	}
	if a.Policy == session.CloseSlow {
		s.ends(session.ReasonSlowConsumer.String(), 1)
	}
	slow := &slowly{link: l, hurry: make(chan struct{}), over: make(chan struct{})}
	go slow.read()
	defer func() { // before it is closed: then nobody reads any more
		l.reset()
		<-slow.over
	}()
	if err := all.publish(ctx, s, a.Messages, slowSize); err != nil || ctx.Err() != nil {
		return err
	}
	s.note(func(b *books) { b.dueMost += int64(a.Messages) })
	if a.Policy == session.CloseSlow {
		<-slow.over
		if got, last, err := slow.seen(); !ended(err) {
			return fmt.Errorf("not closed; got %d messages, the last %d: %v", got, last, err)
		}
		return nil
	}
	s.note(func(b *books) { b.dueLeast += int64(a.Messages) })
	close(slow.hurry)
	return orDone(ctx, a.settle(ctx, all, slow))
}

// settle waits until the slow member has all that it gets.
func (a slowMember) settle(ctx context.Context, all *audience, slow *slowly) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var st session.GroupStats
	var err error
	got, last := 0, 0
	waited := await(ctx, func() bool {
		if st, err = all.publisher.group(all.group); err != nil {
			return true
		}
		var failed error
		if got, last, failed = slow.seen(); failed != nil {
			err = failed
		}
		return err != nil || st.Queued == 0 && got+int(st.Dropped) == a.Messages
	})
	switch {
	case err != nil:
		return err
	case waited != nil:
		return fmt.Errorf("the slow member got %d of %d messages; %d were dropped, %d wait", got, a.Messages, st.Dropped, st.Queued)
	case st.Dropped == 0:
		return fmt.Errorf("the slow member got all %d messages", got)
	case a.Policy == session.DropOldest && last != a.Messages-1:
		return fmt.Errorf("the oldest were to be dropped, but the last that came is %d of %d", last, a.Messages)
	}
	return nil
}

// slowly reads a group's messages: a few at a time, and as fast as it can from when it is
// to hurry.
type slowly struct {
	link  *link
	hurry chan struct{}
	over  chan struct{} // closed when it reads no more

	mu   sync.Mutex
	got  int
	last int // number of the last message
	err  error
}

func (s *slowly) read() {
	defer close(s.over)
	p := newPace(40)
	defer p.stop()
	for {
		select {
		case <-s.hurry:
		case <-p.ticks.C:
		}
		if !s.one() {
			return
		}
	}
}

// one takes one message.
func (s *slowly) one() bool {
	message, err := s.link.receive()
	var number uint64
	if err == nil {
		number, err = numberOf(message)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.got > 0 && int(number) <= s.last {
		err = fmt.Errorf("message %d comes after message %d", number, s.last)
	}
	if err != nil {
		s.err = err
		return false
	}
	s.got++
	s.last = int(number)
	return true
}

// seen is what has come so far.
func (s *slowly) seen() (got, last int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got, s.last, s.err
}
