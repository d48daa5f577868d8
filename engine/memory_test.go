package engine

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/memlimit"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// usage is an inject.Memory that says what the test wants.
type usage struct {
	inject.MemoryUse
	collects chan struct{} // gets a value for each Collect, which waits until it is taken
}

func (u *usage) Read() inject.MemoryUse { return u.MemoryUse }
func (u *usage) Collect()               { u.collects <- struct{}{} }

// rung is a stage with a ladder of which the test makes the looks, and a limit of 1000 MiB.
type rung struct {
	*stage
	ladder *ladder
	usage  *usage
	log    *recorder
}

const rungLimit = 1000 << 20

func newRung(t *testing.T, opts ...Option) *rung {
	t.Helper()
	log := &recorder{least: Warn}
	st := newStage(t, append([]Option{WithLogger(log), WithMemoryLimit(rungLimit)}, opts...)...)
	l := &st.engine.ladder
	r := &rung{stage: st, ladder: l, usage: &usage{collects: make(chan struct{})}, log: log}
	l.source = r.usage
	l.ceilings = []ceiling{{kind: ceilingMemory, limit: rungLimit}, {kind: ceilingBuffers}} // whatever this machine has
	l.measure(st.clock.Now())
	st.poller.parking = func() {} // a loop that brakes parks with sessions to read
	t.Cleanup(func() {
		if l.collecting {
			<-r.usage.collects
			l.stop()
		}
	})
	return r
}

// use has so many hundredths of the limit in use, and nothing else held.
func (r *rung) use(percent float64) {
	r.usage.Held = int64(percent / 100 * rungLimit)
	r.usage.Firm = r.usage.Held
}

// look lets time pass and has the ladder look, and then the loop do what it was asked to.
func (r *rung) look(after time.Duration) {
	r.clock.set(r.clock.Now().Add(after))
	r.ladder.look(r.clock.Now())
	r.loop.turn()
	r.loop.turn()
}

// collected lets a collection that is under way end, and has the ladder look.
func (r *rung) collected() {
	r.t.Helper()
	if !r.ladder.collecting {
		r.t.Fatal("garbage is not being collected")
	}
	<-r.usage.collects
	<-r.ladder.collected
	r.ladder.collected <- 0 // how long it really took is nothing to the stage's clock
	r.usage.Cycles++
	r.look(lookMax)
}

func (r *rung) wantStep(want MemoryStep, when string) {
	r.t.Helper()
	if got := MemoryStep(r.ladder.step.Load()); got != want {
		r.t.Errorf("%s: step %v, want %v", when, got, want)
	}
	if full := r.ladder.full.Load(); full != (want >= MemoryStopAccepting) {
		r.t.Errorf("%s: acceptors wait: %v", when, full)
	}
}

// Each step begins at its mark, and ends below another one, when use has stayed there for
// a while.
func TestMemoryStepsAndTheirHysteresis(t *testing.T) {
	r := newRung(t)
	for _, c := range []struct {
		percent float64
		after   time.Duration
		want    MemoryStep
	}{
		{10, 0, MemoryNormal},
		{79.9, lookMax, MemoryNormal},
		{80, lookMax, MemoryStopAccepting},
		{79, lookMax, MemoryStopAccepting},
		{84.9, lookMax, MemoryStopAccepting},
		{85, lookMax, MemoryDropIdle},
		{81, lookMax, MemoryDropIdle},
		{89.9, lookMax, MemoryDropIdle},
		{90, lookMax, MemoryCloseFattest},
		{86, lookMax, MemoryCloseFattest},
		{84.9, lookMax, MemoryCloseFattest}, // not yet
		{86, stepCalm, MemoryCloseFattest},
		{84.9, lookMax, MemoryCloseFattest}, // again
		{84.9, stepCalm - 1, MemoryCloseFattest},
		{84.9, lookMax, MemoryDropIdle},
		{79.9, lookMax, MemoryDropIdle},
		{79.9, stepCalm, MemoryStopAccepting},
		{76, lookMax, MemoryStopAccepting},
		{74.9, lookMax, MemoryStopAccepting},
		{74.9, stepCalm, MemoryNormal},
		{79, lookMax, MemoryNormal},
		{99, lookMax, MemoryCloseFattest}, // all at once
		{10, lookMax, MemoryCloseFattest},
		{10, stepCalm, MemoryNormal},
	} {
		r.use(c.percent)
		r.look(c.after)
		r.wantStep(c.want, fmt.Sprintf("at %v %%", c.percent))
	}
	m := r.engine.Stats().Memory
	if m.AcceptStops != 2 || m.IdleDropped != 0 || m.FattestClosed != 0 || m.Limit != rungLimit || m.Use != r.usage.Firm {
		t.Errorf("counted %+v", m)
	}
	settled(t, r.engine.log.ring)
	var told []string
	for i, line := range r.log.lines {
		if r.log.names[i] == "memory" {
			told = append(told, line["what"].(string))
		}
	}
	want := "stop_accepting begins, drop_idle begins, close_fattest begins, close_fattest ends, drop_idle ends, stop_accepting ends, " +
		"stop_accepting begins, drop_idle begins, close_fattest begins, stop_accepting ends, drop_idle ends, close_fattest ends"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("the log tells of\n%s, want\n%s", got, want)
	}
	wantFields(t, r.log.lines[0], map[string]any{"of": "memory", "use": int64(rungLimit * 80 / 100), "limit": int64(rungLimit), "skipped": int64(0)})
}

// Garbage ends nobody, however much there is: it is collected, and until then at most
// nothing more is accepted.
func TestGarbageEndsNobody(t *testing.T) {
	r := newRung(t)
	r.use(40)
	r.usage.Held = rungLimit * 99 / 100
	r.look(lookMax)
	r.wantStep(MemoryStopAccepting, "with garbage")
	for range 10 {
		r.look(lookMax)
	}
	if n := r.engine.Stats().Memory.Collections; n != 1 {
		t.Errorf("%d collections while one is under way", n)
	}
	r.usage.Held = r.usage.Firm
	r.collected()
	r.look(stepCalm)
	r.wantStep(MemoryNormal, "when it was collected")
	r.usage.Held = r.usage.Firm + rungLimit*30/100 // below the mark
	r.look(lookMax)
	r.use(76)
	r.usage.Firm -= rungLimit/garbagePart - 1 // not worth it
	r.look(lookMax)
	if n := r.engine.Stats().Memory.Collections; n != 1 {
		t.Errorf("%d collections, one was worth it", n)
	}
}

// After a long collection there is none for longer.
func TestCollectionsTakeAShareOfTheTime(t *testing.T) {
	r := newRung(t)
	r.use(40)
	r.usage.Held = rungLimit * 80 / 100
	r.ladder.collecting = true
	r.ladder.collected <- time.Second
	r.look(lookMax)
	r.look(collectShare*time.Second - 1)
	if r.ladder.collecting {
		t.Error("garbage is collected again at once")
	}
	r.look(lookMax)
	if !r.ladder.collecting {
		t.Error("garbage is not collected any more")
	}
}

// But not where garbage could fill the memory meanwhile.
func TestCollectionsFollowEachOtherNearTheLimit(t *testing.T) {
	r := newRung(t)
	r.use(40)
	r.usage.Held = rungLimit * pressMark / 100
	r.ladder.collecting = true
	r.ladder.collected <- time.Second
	r.look(lookMax)
	if !r.ladder.collecting {
		t.Error("garbage is not collected for as long as it takes to fill the memory")
	}
}

// The runtime's own limit is of no use for the group's where sockets take what lies
// between the two.
func TestSocketsBesideTheRuntimesLimit(t *testing.T) {
	r := newRung(t)
	group := &r.ladder.ceilings[0]
	group.kind, group.runtimes = ceilingGroup, rungLimit*80/100
	r.use(40)
	r.usage.Held = rungLimit * 79 / 100
	r.usage.Outside = rungLimit * 5 / 100
	r.look(lookMax)
	r.wantStep(MemoryNormal, "with room beside the runtime's limit")
	r.usage.Outside = rungLimit * 15 / 100
	r.look(lookMax)
	r.wantStep(MemoryStopAccepting, "with sockets there")
	if !r.ladder.collecting {
		t.Error("the runtime would fill the group with garbage")
	}
}

// Where the limit is the runtime's own, the runtime collects: garbage up to the limit is
// as it should be.
func TestTheRuntimesOwnLimit(t *testing.T) {
	r := newRung(t)
	r.ladder.ceilings[0].runtimes = rungLimit
	r.use(40)
	r.usage.Held = rungLimit * 99 / 100
	r.look(lookMax)
	r.wantStep(MemoryNormal, "with garbage")
	if r.ladder.collecting {
		t.Error("garbage is collected, which the runtime does in time")
	}
	r.usage.Firm = rungLimit * 85 / 100
	r.look(lookMax)
	r.wantStep(MemoryDropIdle, "with what is in use")
}

// What the engine's buffers hold counts at once, and at once no more, whatever the last
// collection has seen of them. It never counts for more than is held.
func TestBuffersCountAtOnce(t *testing.T) {
	const mib = 1 << 20
	r := newRung(t)
	use := func(want int64, when string) {
		t.Helper()
		r.look(lookMax)
		if got := r.ladder.use.Load(); got < want-mib || got > want+mib {
			t.Errorf("%s: %d MiB are used, want %d", when, got/mib, want/mib)
		}
	}
	r.use(30)
	r.usage.Live = 200 * mib
	use(300*mib, "at first")
	held := r.engine.pool.Get(100 * mib)
	r.usage.Held = 500 * mib
	use(400*mib, "with more in buffers")
	// The runtime sees it as live: it must not count twice.
	r.usage.Cycles, r.usage.Firm, r.usage.Live = 1, 400*mib, 300*mib
	use(400*mib, "after a collection")
	r.usage.Cycles = 2
	use(400*mib, "after another one")
	held.Release()
	use(300*mib, "when they are released, and nobody has collected")
	huge := r.engine.pool.Get(700 * mib)
	use(500*mib, "with more than is held")
	huge.Release()
}

// Of what is released during a collection nobody knows whether it survives. It counts as
// taken until another collection has ended.
func TestTakenUntilItIsSurelyCollected(t *testing.T) {
	const size = 1 << 20
	r := newRung(t)
	pool := r.engine.pool
	base := pool.Taken()
	r.look(lookMax)
	s := pool.Get(size)
	s.Release() // too large to be kept
	for cycle, want := range []int64{base + size, base + size, base} {
		if got := pool.Taken(); got != want {
			t.Errorf("%d bytes are taken after %d collections, want %d", got, cycle, want)
		}
		r.usage.Cycles++
		r.look(lookMax)
	}
	pool.Get(size).Release()
	r.usage.Held = rungLimit * 80 / 100
	r.look(lookMax) // this one is asked for, so that it is known when it began
	late := pool.Get(size)
	late.Release()
	r.usage.Held = 0
	r.collected()
	if got := pool.Taken(); got != base+size {
		t.Errorf("%d bytes are taken, want %d: one was released before the collection began", got, base+size)
	}
}

// The next look is due before the room can have filled, and not too often.
func TestLooksComeMoreOftenWithLessRoom(t *testing.T) {
	l := &ladder{ceilings: []ceiling{{limit: 100 << 30}, {limit: 100 << 30}}}
	for _, c := range []struct {
		held int64 // of the second
		want time.Duration
	}{
		{0, lookMax}, {98 << 30, lookMax}, {99 << 30, lookMax / 2}, {100<<30 - 200<<20, 97656 * time.Microsecond},
		{100<<30 - 1<<20, lookMin}, {100 << 30, lookMin}, {200 << 30, lookMin},
	} {
		l.ceilings[1].held = c.held
		if got := l.pause(); got.Round(time.Microsecond) != c.want {
			t.Errorf("with %d MiB left: %v, want %v", (100<<30-c.held)>>20, got, c.want)
		}
	}
	l.ceilings[1].paced = true
	if got := l.pause(); got != lookMax {
		t.Errorf("with nothing but garbage, which the runtime collects: %v, want %v", got, lookMax)
	}
}

// What is to be kept follows from the option, and from what there is.
func TestCeilings(t *testing.T) {
	const mib, none = 1 << 20, 0
	group := memlimit.Group{Limit: 100 * mib, Dir: "/a"}
	for name, c := range map[string]struct {
		option int64
		found  memlimit.Limits
		total  int64 // of WithOutboundTotal
		want   string
		share  int64
	}{
		"nothing known":           {systemLimit, memlimit.Limits{}, none, "", 512 * mib},
		"the machine":             {systemLimit, memlimit.Limits{Machine: 800 * mib}, none, "memory 800, buffers, queued 300, unread 400", 400 * mib},
		"a cgroup":                {systemLimit, memlimit.Limits{Machine: 800 * mib, Group: group}, none, "cgroup 100, buffers, queued 37, unread 50", 50 * mib},
		"GOMEMLIMIT":              {systemLimit, memlimit.Limits{Machine: 800 * mib, Runtime: 80 * mib}, none, "memory 80 paced, buffers, queued 30, unread 40", 40 * mib},
		"GOMEMLIMIT and a cgroup": {systemLimit, memlimit.Limits{Machine: 800 * mib, Runtime: 80 * mib, Group: group}, none, "memory 80 paced, cgroup 100 paced, buffers, queued 30, unread 40", 40 * mib},
		"GOMEMLIMIT too high":     {systemLimit, memlimit.Limits{Machine: 800 * mib, Runtime: 200 * mib, Group: group}, none, "memory 200 paced, cgroup 100, buffers, queued 75, unread 100", 100 * mib},
		"the option":              {60 * mib, memlimit.Limits{Machine: 800 * mib, Group: group}, none, "memory 60, cgroup 100, buffers, queued 22, unread 30", 30 * mib},
		"the option as the group": {100 * mib, memlimit.Limits{Group: group}, none, "cgroup 100, buffers, queued 37, unread 50", 50 * mib},
		"off":                     {0, memlimit.Limits{Machine: 800 * mib, Group: group}, none, "", 50 * mib},
		"a total of its own":      {systemLimit, memlimit.Limits{Machine: 800 * mib}, 7, "memory 800, buffers", 7},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{memoryLimit: c.option, outboundTotal: c.total}
			o.settleMemory(c.found)
			var got []string
			for _, k := range o.ceilings {
				text := k.kind.String()
				if k.limit > 0 {
					text += fmt.Sprint(" ", k.limit/mib)
				}
				if k.pacedBeside(0) {
					text += " paced"
				}
				got = append(got, text)
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("to be kept: %s; want %s", text, c.want)
			}
			if o.outboundTotal != c.share {
				t.Errorf("a share of %d bytes for output, want %d", o.outboundTotal, c.share)
			}
		})
	}
}

// While memory is scarce an acceptor leaves the clients in the kernel's queue, and goes on
// as soon as it is not.
func TestMemoryStopsAccepting(t *testing.T) {
	r := newRung(t)
	a := r.accepting(silent)
	r.use(80)
	r.look(lookMax)
	r.sockets.accepts = make([]syscall.Errno, 3)
	a.readable = true
	for range 5 {
		r.loop.turn()
	}
	if n := r.engine.count(); n != 0 {
		t.Errorf("%d connections were accepted", n)
	}
	if !r.poller.parked {
		t.Error("the loop does not sleep meanwhile")
	}
	r.clock.set(r.clock.Now().Add(acceptRecheck))
	r.loop.turn()
	if n := r.engine.count(); n != 0 {
		t.Errorf("%d connections were accepted after a while", n)
	}
	r.use(10)
	r.look(lookMax)
	r.look(stepCalm)
	r.loop.turn()
	if n := r.engine.count(); n != 3 {
		t.Errorf("%d connections were accepted afterwards, want 3", n)
	}
}

// idleRung is a rung with sessions of which each has said something, an hour after the one
// before it, and of which the ladder has noted that.
func idleRung(t *testing.T, sessions int, opts ...Option) (r *rung, conns []*conn, handlers []*watcher) {
	r = newRung(t, opts...)
	r.use(30)
	for range sessions {
		h := &watcher{}
		c := r.connect(h)
		handlers, conns = append(handlers, h), append(conns, c)
		r.loop.turn()
		r.say(c)
		r.clock.set(r.clock.Now().Add(time.Hour))
	}
	r.look(lookMax)
	r.look(lookMax)
	r.clock.set(r.clock.Now().Add(silence))
	r.loop.turn()
	r.ladder.staleAt = r.clock.Now().Add(time.Hour) // what is collected is what sessions have left
	return r, conns, handlers
}

// limit has the ladder keep that limit, and no other.
func (r *rung) limit(bytes int64) {
	r.ladder.ceilings = []ceiling{{kind: ceilingMemory, limit: bytes}}
}

// say has a peer send something.
func (r *rung) say(c *conn) {
	r.sockets.of(c).input = []byte("x")
	r.tell(c, poller.Readable)
	r.loop.turn()
}

// round has the ladder look until a round that may end sessions is over, if there is one.
func (r *rung) round() {
	for n := 0; !r.ladder.relief.underWay() && n < 20; n++ {
		r.look(roundPause)
	}
	for n := 0; r.ladder.relief.underWay() && n < 20; n++ {
		r.look(lookMin)
	}
}

// hangUp has the peers of all sessions that drain send FIN, too.
func (r *rung) hangUp() {
	for c := range r.conns() {
		if c.session.Load().State() == session.Draining {
			r.sockets.of(c).fin = true
			r.tell(c, poller.Readable|poller.HangUp)
		}
	}
	r.loop.turn()
	r.loop.turn()
}

// Idle sessions are dropped: the longest silent first, a few at a time, and no more before
// it is known what that has brought.
func TestIdleSessionsAreDroppedInTheirOrder(t *testing.T) {
	const sessions = 64
	r, conns, handlers := idleRung(t, sessions, WithOutboundTotal(1<<30))
	r.limit(1 << 20) // of which 64 sessions take more than an eighth
	gone := func() (n int) {
		for i, h := range handlers {
			if len(h.reasons) == 0 {
				continue
			}
			n++
			h.wantReason(t, session.ReasonMemory)
			var why *MemoryError
			if !errors.As(h.reasons[0], &why) || why.Step != MemoryDropIdle || why.Of != "memory" || why.Limit != 1<<20 || why.Use < why.Limit*85/100 {
				t.Errorf("the cause is %v", h.reasons[0])
			}
			if i != n-1 {
				t.Errorf("session %d is dropped before %d, which has been silent for longer", i, n-1)
			}
		}
		return n
	}
	r.say(conns[2]) // it is not silent any more
	handlers = append(append(handlers[:2:2], handlers[3:]...), handlers[2])
	r.usage.Held, r.usage.Firm = 880<<10, 880<<10
	r.round()
	if n := gone(); n != 0 {
		t.Errorf("%d sessions are closed, and their peers have not said anything", n)
	}
	for range 10 {
		r.round()
	}
	r.hangUp()
	const once = sessions / roundPart
	if n := gone(); n != once {
		t.Errorf("%d sessions were dropped at once, want %d", n, once)
	}
	r.round() // it waits for the garbage
	if n := gone(); n != once || !r.ladder.collecting {
		t.Errorf("%d sessions were dropped before it is known what the first %d have brought", n, once)
	}
	r.collected()
	r.round()
	r.hangUp()
	r.look(lookMin) // they are gone
	r.look(lookMin)
	r.collected()
	if n := gone(); n != once+(sessions-once)/roundPart {
		t.Errorf("%d sessions were dropped in two rounds", n)
	}
	n := gone()
	r.usage.Held, r.usage.Firm = 700<<10, 700<<10
	r.look(lookMax)
	r.look(stepCalm)
	r.round()
	r.hangUp()
	if after := gone(); after != n {
		t.Errorf("%d more were dropped when there was room again", after-n)
	}
	if m := r.engine.Stats(); m.Memory.IdleDropped != uint64(n) || m.Closed["memory"] != uint64(n) || m.Memory.FattestClosed != 0 {
		t.Errorf("counted %d dropped and %d closed, want %d", m.Memory.IdleDropped, m.Closed["memory"], n)
	}
}

// Who has been sent something is not silent, nor who has not been for long; nor is one idle
// for whom something is held, that the user has paused, or that is ending.
func TestWhoIsNotIdle(t *testing.T) {
	const spared = 5
	r, conns, handlers := idleRung(t, 2*spared)
	r.limit(64 << 10)
	session := func(i int) *session.Session { return conns[i].session.Load() }
	session(1).PauseRead()
	r.sockets.of(conns[2]).room = 0
	_ = session(2).Send([]byte("x")) // it cannot fail
	_ = session(3).Close()
	for range 3 * spared { // as many rounds as take all the others
		r.say(conns[4])
		if err := session(0).Send([]byte("news")); err != nil {
			t.Fatal(err)
		}
		r.usage.Held, r.usage.Firm = 56<<10, 56<<10 // 87 %
		r.round()
		r.hangUp()
		r.look(lookMin)
		if r.ladder.collecting {
			r.collected()
		}
	}
	for i, h := range handlers {
		dropped := len(h.reasons) > 0 && errors.Is(h.reasons[0], sessionMemory)
		if dropped != (i >= spared) {
			t.Errorf("session %d: dropped: %v", i, dropped)
		}
	}
}

const sessionMemory = session.ReasonMemory

// hold has a session hold so much output, which its peer does not take.
func (r *rung) hold(c *conn, bytes int) {
	r.sockets.of(c).room = 0
	if err := c.session.Load().SendOwned(make([]byte, bytes), nil); err != nil {
		r.t.Fatal(err)
	}
	r.loop.turn()
}

// The fattest sessions are aborted, the fattest first, as many as needed and a few at a
// time.
func TestTheFattestAreClosedFirst(t *testing.T) {
	const sessions, mib = 40, 1 << 20
	r, conns, handlers := idleRung(t, sessions, WithOutbound(1, 2, 100*mib), WithOutboundTotal(rungLimit))
	r.limit(100 * mib)
	sizes := map[int]int{20: 19 * mib, 3: 18 * mib, 11: 17 * mib, 5: 12 * mib, 30: 11 * mib}
	for i, size := range sizes {
		r.hold(conns[i], size)
	}
	ended := func() (all []int) {
		for i, h := range handlers {
			if len(h.reasons) > 0 && r.sockets.at(int(conns[i].fd)) == nil {
				h.wantReason(t, session.ReasonMemory)
				all = append(all, i)
			}
		}
		return all
	}
	step := func(use int64, want string, when string) {
		t.Helper()
		r.usage.Held, r.usage.Firm = use, use
		r.ladder.relief.effect = effectClosing // nobody is dropped for being idle
		r.ladder.relief.dropped = r.clock.Now().Add(time.Hour)
		r.round()
		if got := fmt.Sprint(ended()); got != want {
			t.Errorf("%s: %v have ended, want %s", when, got, want)
		}
	}
	step(89*mib, "[]", "below the mark")
	step(90*mib, "[20]", "one is enough")
	step(190*mib, "[3 11 20]", "two at most at a time")
	step(190*mib, "[3 5 11 20 30]", "the rest")
	step(190*mib, "[3 5 11 20 30]", "nobody is left")
	for _, i := range []int{3, 5, 11, 20, 30} {
		var closed *session.CloseError
		var why *MemoryError
		if !errors.As(handlers[i].reasons[0], &closed) || closed.Unsent != sizes[i] || !errors.As(closed, &why) || why.Step != MemoryCloseFattest {
			t.Errorf("session %d ended with %v", i, handlers[i].reasons[0])
		}
	}
	if m := r.engine.Stats().Memory; m.FattestClosed != 5 || m.IdleDropped != 0 {
		t.Errorf("counted %d and %d", m.FattestClosed, m.IdleDropped)
	}
}

// One that has got rid of what was held for it meanwhile is spared.
func TestWhoRecoversIsSpared(t *testing.T) {
	const mib = 1 << 20
	r, conns, handlers := idleRung(t, 2, WithOutbound(1, 2, 100*mib), WithOutboundTotal(rungLimit))
	r.limit(100 * mib)
	r.hold(conns[0], 20*mib)
	r.usage.Held, r.usage.Firm = 95*mib, 95*mib
	r.look(lookMin)                           // they are counted
	r.ladder.look(r.clock.Now().Add(lookMax)) // and picked
	r.sockets.of(conns[0]).room = 1 << 30
	for conns[0].session.Load().Stats().Queued > 0 {
		r.loop.settle(conns[0], conns[0].drive().Writable())
	}
	r.loop.turn()
	if r.ladder.relief.loops[0].stage.Load() != censusRests || len(handlers[0].reasons) != 0 || r.ladder.ended[MemoryCloseFattest].Load() != 0 {
		t.Errorf("ended with %v", handlers[0].reasons)
	}
}

// Where others use the memory, no session is ended: it would not help.
func TestNobodyIsEndedForOthers(t *testing.T) {
	r, conns, handlers := idleRung(t, 16, WithOutboundTotal(rungLimit))
	r.hold(conns[0], 1<<20)
	r.use(99)
	r.round()
	r.wantStep(MemoryCloseFattest, "at 99 %")
	for i, h := range handlers {
		if len(h.reasons) != 0 {
			t.Errorf("session %d ended with %v", i, h.reasons)
		}
	}
}

// A loop that is held up keeps nobody waiting, and may answer late.
func TestACensusThatIsLate(t *testing.T) {
	const mib = 1 << 20
	r, conns, handlers := idleRung(t, 2, WithOutbound(1, 2, 100*mib), WithOutboundTotal(rungLimit), WithStallTimeout(0))
	r.limit(100 * mib)
	r.hold(conns[1], 20*mib)
	r.usage.Held, r.usage.Firm = 95*mib, 95*mib
	l, now := r.ladder, r.clock.Now()
	for range 100 {
		now = now.Add(lookMax)
		l.look(now)
	}
	if len(handlers[1].reasons) != 0 {
		t.Fatalf("ended with %v", handlers[1].reasons)
	}
	r.clock.set(now)
	r.round()
	r.round()
	handlers[1].wantReason(t, session.ReasonMemory)
}

// A loop that brakes leaves those alone for which something is held, and reads a little of
// the others. It sleeps meanwhile, and goes on when there is room.
func TestBrake(t *testing.T) {
	const mib = 1 << 20
	r := newRung(t, WithMode(Inline), WithLoops(1), WithOutbound(1, 2, 100*mib), WithOutboundTotal(rungLimit))
	got := map[uint64]int{}
	h := &watcher{message: func(s *session.Session, f session.Frame) { got[s.ID()] += f.Len() }}
	fat, thin := r.connect(h), r.connect(h)
	r.hold(fat, 3)
	r.loop.turn()
	r.limit(64 * mib)
	r.ladder.ceilings = append(r.ladder.ceilings, ceiling{kind: ceilingBuffers})
	r.ladder.measure(r.clock.Now())
	taken := r.engine.pool.Get(46 * mib)
	r.usage.Held = 50 * mib
	for _, c := range []*conn{fat, thin} {
		r.sockets.of(c).input = make([]byte, 3*littleRead)
		fat.session.Load().ResumeRead()
		r.tell(c, poller.Readable)
	}
	fat.flags &^= paused // as if it were not above its high water
	r.loop.turn()
	if got[fat.id] != 0 || got[thin.id] != littleRead {
		t.Errorf("%d and %d bytes were read, want 0 and %d", got[fat.id], got[thin.id], littleRead)
	}
	r.loop.turn()
	if !r.poller.parked {
		t.Error("the loop does not sleep")
	}
	if !r.ladder.busy() || r.engine.Stats().Memory.ReadStops != 1 {
		t.Errorf("nobody looks after it; it stopped %d times", r.engine.Stats().Memory.ReadStops)
	}
	r.clock.set(r.clock.Now().Add(lookMin))
	if r.ladder.look(r.clock.Now()); !r.loop.mail.knocked.Load() {
		t.Error("nobody wakes it")
	}
	r.look(lookMin) // what it has read was handled
	if got[fat.id] != 0 || got[thin.id] < 2*littleRead {
		t.Errorf("%d and %d bytes were read after a look", got[fat.id], got[thin.id])
	}
	taken.Release()
	r.look(lookMin)
	r.collected()
	r.look(lookMin)
	if got[thin.id] != 3*littleRead || r.loop.braked || r.ladder.braked.Load() != 0 {
		t.Errorf("%d bytes were read with room; it brakes: %v", got[thin.id], r.loop.braked)
	}
}

// A loop with nobody to read does not brake, whatever is taken.
func TestBrakeIsLetGoWithoutSessions(t *testing.T) {
	r := newRung(t, WithOutboundTotal(rungLimit))
	c := r.connect(silent)
	r.loop.turn()
	r.ladder.brakeAt.Store(1 << 20)
	taken := r.engine.pool.Get(100 << 20)
	r.hold(c, 3)
	r.say(c)
	if !r.loop.braked {
		t.Fatal("it does not brake")
	}
	_ = c.session.Load().Abort() // it is open
	r.loop.turn()
	r.loop.turn()
	r.loop.turn()
	if r.loop.braked || r.ladder.braked.Load() != 0 {
		t.Error("it brakes for nobody")
	}
	taken.Release()
}

// Whoever else fills the memory does not silence the engine, and without others it may use
// most of it.
func TestWhereTheBrakeIs(t *testing.T) {
	r := newRung(t)
	for percent, want := range map[float64]int64{0: 70, 30: 40, 60: 10, 90: 100 / brakeLeast, 200: 100 / brakeLeast} {
		r.use(percent)
		r.ladder.measure(r.clock.Now())
		if got := r.ladder.brakeAt.Load() * 100 / rungLimit; got < want-1 || got > want+1 {
			t.Errorf("with %v %% used by others: at %d %%, want %d %%", percent, got, want)
		}
	}
	st := newStage(t, WithMemoryLimit(0))
	if got := st.engine.ladder.brakeAt.Load(); got != math.MaxInt64 || st.engine.ladder.on() {
		t.Errorf("without a limit: at %d", got)
	}
}

// ranking keeps those that weigh most.
func TestRanking(t *testing.T) {
	const n = 16
	for _, order := range []func(i int) int64{
		func(i int) int64 { return int64(i) }, func(i int) int64 { return int64(1000 - i) },
		func(i int) int64 { return int64(i * 7919 % 1000) }, func(int) int64 { return 5 },
	} {
		var r ranking
		for i := range 1000 {
			r.add(uint64(i), order(i), n)
			if len(r.list) >= 2*n {
				t.Fatalf("%d are kept", len(r.list))
			}
		}
		best := worst(r.list, n)
		if len(best) != n {
			t.Fatalf("%d are left of 1000", len(best))
		}
		least := best[n-1].weight
		above := 0
		for i := range 1000 {
			if order(i) > least {
				above++
			}
		}
		if above > n-1 {
			t.Errorf("%d weigh more than the last one that is kept", above)
		}
	}
}

// Names are stable, and the error names step, use and limit.
func TestMemoryErrors(t *testing.T) {
	for step, want := range []string{"normal", "stop_accepting", "drop_idle", "close_fattest", "invalid"} {
		if got := MemoryStep(step).String(); got != want {
			t.Errorf("step %d is %q, want %q", step, got, want)
		}
	}
	err := &MemoryError{MemoryDropIdle, "cgroup", 87, 100}
	if got := err.Error(); got != "engine: drop_idle: cgroup: 87 of 100 bytes are used" {
		t.Errorf("reads %q", got)
	}
}

// What the runtime and the cgroup tell makes sense, and reading it allocates nothing.
func TestSystemMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // who collects between two reads finds out what is live
	m := newSystemMemory(memlimit.Group{})
	live := make([]byte, 32<<20)
	m.Collect()
	u := m.Read()
	if u.Held < 32<<20 || u.Live < 32<<20 || u.Firm < u.Live || u.Firm > u.Held || u.Cycles == 0 || u.Outside != 0 {
		t.Errorf("with 32 MiB live: %+v", u)
	}
	garbage := make([]byte, 64<<20)
	garbage[0]++
	after := m.Read()
	if grown := after.Held - u.Held; grown < 60<<20 || after.Firm > u.Firm+8<<20 {
		t.Errorf("with 64 MiB more, of which nobody knows whether they are garbage: %+v, before %+v", after, u)
	}
	live[0]++
	if n := testing.AllocsPerRun(100, func() { m.Read() }); n != 0 {
		t.Errorf("reading allocates %v times", n)
	}
}

func BenchmarkSystemMemory(b *testing.B) {
	m := newSystemMemory(memlimit.Group{})
	b.ReportAllocs()
	for b.Loop() {
		m.Read()
	}
}

// What was live may be garbage by now, and a program that does nothing collects none: a
// step must not stay in force for that, whoever else collects.
func TestAStepDoesNotOutliveItsReason(t *testing.T) {
	for _, paced := range []bool{false, true} {
		r := newRung(t)
		if paced {
			r.ladder.ceilings[0].runtimes = rungLimit
		}
		r.use(82)
		r.look(lookMax)
		r.wantStep(MemoryStopAccepting, "at 82 %")
		for range 10 {
			r.look(collectStale / 5)
		}
		r.use(10) // which nobody knows before
		r.collected()
		r.look(stepCalm)
		r.wantStep(MemoryNormal, "when it was collected")
		before := r.ladder.collections.Load()
		for range 10 {
			r.look(lookMax)
		}
		if n := r.ladder.collections.Load(); n != before {
			t.Errorf("paced %v: %d more collections without any need", paced, n-before)
		}
	}
}

// That costs little of the time, however long it takes.
func TestStaleFiguresAreNotRenewedAllTheTime(t *testing.T) {
	r := newRung(t)
	r.use(82)
	r.look(lookMax)
	r.ladder.collecting = true
	r.ladder.collected <- 10 * time.Second
	r.usage.Cycles++
	r.look(lookMax)
	r.look(staleShare*10*time.Second - 1)
	if r.ladder.collecting {
		t.Error("it is collected again")
	}
	r.look(lookMax)
	if !r.ladder.collecting {
		t.Error("it is not collected any more")
	}
}

// Whom little is held for is not fat, though nobody is fatter: its end would not help, and
// may be a healthy client's whose message is just under way.
func TestWhoHoldsLittleIsNotFat(t *testing.T) {
	const mib = 1 << 20
	r, conns, handlers := idleRung(t, 40, WithOutbound(1, 2, 100*mib), WithOutboundTotal(rungLimit))
	r.limit(1 * mib) // sessions take more than an eighth
	r.hold(conns[7], 64)
	r.usage.Held, r.usage.Firm = mib*99/100, mib*99/100
	r.ladder.relief.effect, r.ladder.relief.dropped = effectClosing, r.clock.Now().Add(time.Hour)
	for range 5 {
		r.round()
	}
	r.wantStep(MemoryCloseFattest, "at 99 %")
	if len(handlers[7].reasons) != 0 {
		t.Errorf("ended with %v", handlers[7].reasons)
	}
}

// But where many hold little, and that is what is too much, some of them must go.
func TestManyWhoHoldLittle(t *testing.T) {
	const each = 3 << 10
	r, conns, handlers := idleRung(t, 40, WithOutbound(1, 2, 1<<20), WithOutboundTotal(rungLimit))
	r.ladder.ceilings = []ceiling{{kind: ceilingMemory, limit: rungLimit}, {kind: ceilingQueued, limit: 40 * each}}
	for _, c := range conns {
		r.hold(c, each)
	}
	r.use(10)
	for range 3 {
		r.round()
	}
	ended := 0
	for _, h := range handlers {
		if len(h.reasons) > 0 {
			h.wantReason(t, session.ReasonMemory)
			ended++
		}
	}
	if ended < 5 || ended > 7 { // 15 % of 40, and less than 5 % more
		t.Errorf("%d sessions have ended, want 6", ended)
	}
}

// Buffers that no session has, such as frames that a handler retains, are nobody's fault
// for whom little is held.
func TestRetainedBuffersEndNobody(t *testing.T) {
	const mib = 1 << 20
	r, conns, handlers := idleRung(t, 40, WithOutbound(1, 2, 100*mib), WithOutboundTotal(rungLimit))
	r.ladder.ceilings = []ceiling{{kind: ceilingMemory, limit: mib}, {kind: ceilingBuffers}}
	r.usage.Held, r.usage.Firm = mib*3/5, 0
	retained := r.engine.pool.Get(580 << 10)
	r.ladder.measure(r.clock.Now())
	r.sockets.of(conns[3]).room = 0
	if err := conns[3].session.Load().Send(make([]byte, 2<<10)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r.round()
	}
	r.wantStep(MemoryCloseFattest, "with retained buffers")
	if len(handlers[3].reasons) != 0 {
		t.Errorf("ended with %v", handlers[3].reasons)
	}
	retained.Release()
}
