//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// sample is what is seen of a subject that has nothing to do. Bytes, and counts.
type sample struct {
	at time.Duration // since the soak began

	resident    int64
	heap        int64 // objects after a collection, but those that are kept
	buffers     int64 // live, of the engine's pool
	kept        int64 // by the pool for later use, which is bounded
	descriptors int
	sockets     int
	goroutines  int
	threads     int
	sessions    int

	p99      time.Duration // of the probe, with nothing else going on
	plainP99 time.Duration // of the probe of package net's server at the same time
	busyP99  time.Duration // of the probe during the acts before
}

// sample has the subject rest and looks at it. If it has a base, that is
// waited for, and so is that all agree: what one has counted another may be about to.
func (x *subject) sample(ctx context.Context, within, plainP99 time.Duration) (got sample, st state, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_ = await(ctx, func() bool { // a subject that does not come back is told by disagreements
		got, st, err = x.look("state")
		return err != nil || len(x.disagreements(got, st)) == 0
	})
	if err == nil {
		got, st, err = x.look(rest)
	}
	got.p99, got.busyP99, got.plainP99 = x.calm, p99(x.busy), plainP99
	return got, st, err
}

func (x *subject) look(command string) (got sample, st state, err error) {
	if err := x.child.ask(&st, command); err != nil {
		return got, st, err
	}
	p, err := readProcess(x.child.pid())
	buffers := st.Engine.Memory.Buffers
	return sample{
		resident: p.resident, heap: st.Heap - buffers.Idle, buffers: buffers.InUse, kept: buffers.Idle,
		descriptors: p.descriptors, sockets: p.sockets, threads: p.threads,
		goroutines: st.Goroutines, sessions: st.Engine.Sessions,
	}, st, err
}

// settled tells whether what is counted is back at the base. Fewer goroutines are as
// good: a worker more may have ended.
func (s sample) settled(base *sample) bool {
	return s.descriptors == base.descriptors && s.goroutines <= base.goroutines && s.sessions == base.sessions
}

// disagreements are what the kernel, the engine, its handler and those who made it happen
// do not say alike, and what is not back at the base.
func (x *subject) disagreements(got sample, st state) (wrong []string) {
	differ := func(what string, a, b int64, of string) {
		if a != b {
			wrong = append(wrong, fmt.Sprintf("%s: %d, but %d %s", what, a, b, of))
		}
	}
	if x.base != nil && !got.settled(x.base) {
		wrong = append(wrong, fmt.Sprintf("not back at the base: descriptors %d → %d, goroutines %d → %d, sessions %d → %d",
			x.base.descriptors, got.descriptors, x.base.goroutines, got.goroutines, x.base.sessions, got.sessions))
	}
	wrong = append(wrong, st.Wrong...)
	e := st.Engine
	differ("bytes queued", e.Queued, 0, "when nothing is under way")
	differ("sessions with something to do", int64(e.Waiting+e.Handlers), 0, "when nothing is under way")
	differ("opened and not closed", int64(e.Opened)-sum(e.Closed), int64(e.Sessions), "sessions")
	if x.stage == nil {
		return append(wrong, crowdDisagreements(st, got)...)
	}
	x.stage.mu.Lock()
	defer x.stage.mu.Unlock()
	b, h := x.stage.books, st.Handler
	differ("accepted", int64(e.Accepted), b.connections, "connected")
	differ("accept errors and refusals", int64(e.AcceptErrors+e.Refused), 0, "had a cause")
	differ("sockets", int64(got.sockets), int64(e.Sessions)+1, "sessions and a listener")
	differ("told of as opened", h.Opened, int64(e.Opened), "counted by the engine")
	differ("told of as closed", h.Closed, sum(e.Closed), "counted by the engine")
	differ("told of as closed twice", h.ClosedAgain, 0, "closed twice")
	differ("bytes received", int64(e.BytesIn), h.Handled+h.Unhandled, "handled, or told of as unhandled")
	differ("bytes unhandled", int64(e.Unhandled), h.Unhandled, "told of")
	differ("bytes unsent", int64(e.Unsent), h.Unsent, "told of")
	differ("answers refused", h.Refused, 0, "when there was always room")
	for _, reason := range ownReasons {
		differ("closed as "+reason, int64(e.Closed[reason]), b.closed[reason], "of those were provoked")
	}
	g := e.GroupSent
	differ("groups", int64(e.Groups), 0, "have members")
	differ("queued for groups", g.Queued, 0, "when nothing is under way")
	differ("published", int64(g.Published), b.published, "messages that were published")
	if n := int64(g.Delivered + g.Dropped + g.Expired + g.Unsent); n < b.dueLeast || n > b.dueMost {
		wrong = append(wrong, fmt.Sprintf("groups accounted for %d messages to members, want %d to %d", n, b.dueLeast, b.dueMost))
	}
	return wrong
}

// ownReasons are those for which nothing closes that was not provoked.
var ownReasons = []string{
	"handler_panic", "protocol_error", "frame_timeout", "slow_consumer", "idle", "io_error", "overload", "memory", "aborted",
}

// crowdDisagreements are those of the clients' process.
func crowdDisagreements(st state, got sample) (wrong []string) {
	c, e := st.Clients, st.Engine
	if n := c.open(); n != 0 {
		wrong = append(wrong, fmt.Sprintf("of %d messages %d came back, %d were reported unsent, %d were with a session that ended, and nobody knows of %d",
			c.Sent, c.Echoed, c.Unsent, c.Doubtful, n))
	}
	if c.Notify != c.Notified {
		wrong = append(wrong, fmt.Sprintf("%d completions of %d were called", c.Notified, c.Notify))
	}
	if c.Connects-c.Disconnects != int64(c.Connected) || e.Sessions != c.Connected || got.sockets != e.Sessions {
		wrong = append(wrong, fmt.Sprintf("%d connects, %d disconnects, but %d connected, %d sessions and %d sockets",
			c.Connects, c.Disconnects, c.Connected, e.Sessions, got.sockets))
	}
	return append(wrong, c.Mistakes...)
}

func sum(counts map[string]uint64) (n int64) {
	for _, count := range counts {
		n += int64(count)
	}
	return n
}
