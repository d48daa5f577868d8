package enginetest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// A simulation runs an engine's own loops over the network in memory. At any
// moment one goroutine runs: the driver, which plays clients and users, a
// loop, from one Poll or Park to the next, or a worker. Who goes on is drawn from the
// seed, and so is everything that the network does; so one seed is one history.
//
//	driver:  step ─ step ─ resume(loop 1) . . . . . . . . . . step ─ …
//	loop 1:                     └─ turn ─ Send ┐        ┌─ Park
//	nested:                                    └─ step ─┘
//
// In the middle of a Send or Recv, while the caller holds the session's write
// side, another step may be taken: by a user, a client, a worker, or another loop. A
// worker stops there, and before and behind a handler, until the driver lets it go on.
// So does a user's goroutine that calls what may wait.
//
// Time stands still while anybody can do anything, but for a handler that takes long on
// a loop, and for loops that spin. Then it jumps to whatever comes first.
type simulation struct {
	seed    uint64
	draws   // of what happens next, and of faults
	parts   parts
	now     time.Time
	held    time.Duration             // of that, what has passed in the middle of calls, while others acted
	clock   atomic.Pointer[time.Time] // the same, for the engine
	faults  faults
	network *network
	engine  *engine.Engine
	loops   []*simLoop
	actors  []*actor
	history []*registration

	world              // what is known of connections
	dialling *dialling // nil: no client of the engine dials
	diallers []*dialler
	lines    map[uint16]*line // by port
	flushing *dialler         // whose client moves its queue now, and holds its lock
	timers   timers
	jitter   draws
	late     draws         // of postLate
	drift    time.Duration // for which the clock has gone on while somebody ran
	dwelt    time.Duration // of that, within handlers on loops
	handler  session.Handler
	janitor  *janitor
	hands    hands
	crew     crew
	overseer *overseer
	ender    *ender
	watch    watch
	dwells   int           // how often a handler on a loop may still take long
	readSize int64         // what a loop reads into, bytes
	spin     time.Duration // loops poll for this long before they park
	hang     bool          // the next handler on a worker hangs
	hung     int           // that do

	depth  int // steps within steps
	quiet  int // above zero: no steps within steps
	steps  int
	trace  trace
	failed bool
	ending bool // the engine was told to end

	endedAt time.Time     // when that was, by idled
	spread  time.Duration // over which sessions are then sent away
}

// simLoop is a loop's goroutine as the scheduler sees it.
type simLoop struct {
	poller   *memoryPoller
	resume   chan error
	yielded  chan struct{}
	running  bool
	over     bool
	parked   bool
	deadline time.Time
	held     time.Duration // the simulation's, when its turn began, or it last read in it
}

// An actor is somebody outside the engine. It is never in two steps at once.
type actor struct {
	part
	busy bool
}

// part is what an actor plays.
type part interface {
	// ready tells whether step would do something now.
	ready() bool
	// wakes is when time alone makes it ready; zero: never.
	wakes() time.Time
	step()
	fmt.Stringer
}

// faults are how often things go wrong, each from 0 to 1.
type faults struct {
	short    float64 // a call moves less than it could
	again    float64 // a call moves nothing
	disturb  float64 // somebody acts in the middle of a call
	hold     float64 // events come late
	stale    float64 // events for the closed, and for nothing
	early    float64 // Park returns for no reason
	ambush   float64 // a connection ends in the middle of a call of its own
	accept   float64 // Accept fails
	register float64 // Add fails
	poll     float64 // Poll or Park fails, which ends the engine
}

// spinCost is how long a poll takes where loops spin: else they would for ever.
const spinCost = 5 * time.Microsecond

const (
	nestedMax = 3
	stepsMax  = 400_000
)

func newSimulation(seed uint64, only []string) *simulation {
	s := &simulation{seed: seed, draws: drawsOf(seed, "schedule"), parts: parts{only: only}, readSize: 64 << 10}
	s.setTime(time.Unix(1_700_000_000, 0))
	s.network = newNetwork(s)
	s.world.byPort = make(map[uint16]*track)
	s.world.ids = make(map[uint64]bool)
	s.lines = make(map[uint16]*line)
	s.jitter = drawsOf(seed, "jitter")
	s.late = drawsOf(seed, "late")
	s.crew.sim, s.hands.sim, s.timers.sim = s, s, s
	s.janitor = &janitor{sim: s}
	s.overseer = &overseer{sim: s}
	s.actors = append(s.actors, &actor{part: s.overseer})
	return s
}

// Now makes the simulation the engine's clock. The last loop asks when nobody waits for
// it any more, as it sums up.
func (s *simulation) Now() time.Time { return *s.clock.Load() }

func (s *simulation) setTime(to time.Time) {
	s.now = to
	s.clock.Store(&to)
}

func (s *simulation) deps() inject.Deps {
	newPoller := func() (poller.Poller, error) {
		p := newPoller(s.network, len(s.loops))
		s.loops = append(s.loops, &simLoop{poller: p, resume: make(chan error), yielded: make(chan struct{})})
		return p, nil
	}
	hash := func(a netip.Addr) uint64 {
		b := a.As16()
		return uint64(b[15])*2654435761>>7 + s.seed
	}
	d := inject.Deps{
		Clock: s, Yield: func() {}, Sockets: s.network, NewPoller: newPoller, Oversee: s.overseer.take, Wait: s.await, Hash: hash,
		AfterFunc: s.timers.after, Random: func(n int64) int64 { return s.jitter.Int64N(n) },
	}
	if s.dialling != nil {
		d.Dial = s.dialling.dial
	}
	return d
}

// start makes the engine and waits until all loops have come to their first Park.
func (s *simulation) start(opts ...engine.Option) {
	e, err := engine.New(append([]engine.Option{engine.WithMode(engine.Inline), engine.WithDeps(s.deps())}, opts...)...)
	if err != nil {
		panic(err)
	}
	s.engine = e
	for _, l := range s.loops {
		<-l.yielded
	}
}

// beside runs what waits for the engine on a goroutine of its own, until it
// waits.
func (s *simulation) beside(call func()) {
	go call()
	synctest.Wait()
}

// run takes steps until the engine has ended, and all clients have noticed.
func (s *simulation) run() {
	for !s.failed {
		if s.steps++; s.steps > stepsMax {
			s.failf("no end after %d steps", stepsMax)
		}
		if s.steps%16 == 0 {
			s.checkMemory()
		}
		if s.step() || s.passTime() {
			continue
		}
		if s.over() && (s.hung > 0 || s.hands.waiting() == nil) { // a client's session may wait for a worker that hangs
			s.letGo()
			return
		}
		s.nothingLeft()
	}
}

// letGo has the handlers go on that the engine has abandoned.
func (s *simulation) letGo() {
	for _, w := range s.hands.list {
		w.hangs = false
	}
	for !s.failed && (s.step() || s.passTime()) {
	}
	if w := s.hands.waiting(); w != nil {
		s.failf("stuck: %s waits", w)
	}
}

// nothingLeft is when nobody will ever do anything again by himself.
func (s *simulation) nothingLeft() {
	s.checkSettled()
	if w := s.hands.waiting(); w != nil {
		s.failf("stuck: %s waits", w)
		return
	}
	for _, a := range s.actors {
		if !s.ending && a.String() != "" {
			s.failf("stuck: %s", a)
			return
		}
	}
	if s.ending {
		s.failf("stuck: the engine was told to end, and %d sessions are left", s.engine.Stats().Sessions)
		return
	}
	s.endEngine()
}

func (s *simulation) over() bool {
	for _, l := range s.loops {
		if !l.over {
			return false
		}
	}
	return true
}

// step has somebody do something; false if nobody can.
func (s *simulation) step() bool {
	s.flushing = nil
	if s.ending && s.dialling != nil {
		synctest.Wait() // who dials is told by goroutines that nobody else knows
	}
	var loops []*simLoop
	var actors []*actor
	for _, l := range s.loops {
		if s.runnable(l) {
			loops = append(loops, l)
		}
	}
	for _, a := range s.actors {
		if !a.busy && a.ready() {
			actors = append(actors, a)
		}
	}
	hands := s.hands.ready()
	n := len(loops) + len(actors) + len(hands)
	if n == 0 {
		return false
	}
	switch i := s.IntN(n); {
	case i < len(loops):
		s.resume(loops[i], nil)
	case i < len(loops)+len(actors):
		s.play(actors[i-len(loops)])
	default:
		s.hands.run(hands[i-len(loops)-len(actors)])
	}
	return true
}

func (s *simulation) play(a *actor) {
	a.busy = true
	a.step()
	a.busy = false
}

func (s *simulation) runnable(l *simLoop) bool {
	switch {
	case l.running || l.over:
		return false
	case !l.parked || !l.poller.idle():
		return true
	case !l.deadline.IsZero() && !s.now.Before(l.deadline):
		return true
	}
	return s.chance(s.faults.early)
}

// resume lets a loop go on until its next Poll or Park, which fails with err.
func (s *simulation) resume(l *simLoop, err error) {
	if err == nil && s.chance(s.faults.poll) {
		err = os.NewSyscallError("poll", syscall.EIO)
		s.engineFails()
	}
	s.note("loop %d goes on, error %v", l.poller.index, err)
	l.running, l.held = true, s.held
	if !l.parked && s.spin > 0 {
		s.drift += spinCost
		s.setTime(s.now.Add(spinCost)) // here: at the start, loops come to their first Poll side by side
	}
	l.resume <- err
	<-l.yielded
	l.running = false
	if l.over {
		synctest.Wait() // it has some tidying up to do
	}
}

// passTime jumps to the next moment at which something happens.
func (s *simulation) passTime() bool {
	var next time.Time
	consider := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, l := range s.loops {
		if !l.over {
			consider(l.deadline)
		}
	}
	for _, a := range s.actors {
		consider(a.wakes())
	}
	consider(s.hands.wakes())
	if next.IsZero() {
		return false
	}
	if !next.After(s.now) {
		s.failf("time stands still at %v", next)
		return true
	}
	s.checkSettled()
	s.checkDeadlines()
	s.note("time passes: %v", next.Sub(s.now))
	pass := next.Sub(s.now)
	s.setTime(next)
	// Who waits for the engine does so in the bubble's time.
	time.Sleep(pass)
	synctest.Wait()
	return true
}

// tearDown ends the loops of a simulation that failed.
func (s *simulation) tearDown() {
	report := s.report()
	for range 1000 {
		for _, l := range s.loops {
			if !l.over && !l.running {
				s.resume(l, errors.New("the simulation failed"))
			}
		}
		s.hands.dismiss()
		if s.overseer.look != nil {
			_ = s.overseer.look()
		}
		if s.over() {
			_ = s.engine.Close()
			return
		}
	}
	panic("the loops do not end; before that: " + report)
}

// What follows makes the simulation the network's gate.

// disturb may have somebody act in the middle of a call for a connection, or of a handler
// of its. What is bad for the connection itself is what there are most mistakes about.
func (s *simulation) disturb(t *track) {
	if s.quiet > 0 || s.failed {
		return
	}
	if t.session != nil && s.chance(s.faults.ambush) {
		s.ambush(t)
	}
	s.postLate()
	s.letOthers()
}

// postLate may have somebody leave a task with a session that is ending: its loop is in the
// middle of a call, perhaps for another one, and may be about to close it.
func (s *simulation) postLate() {
	for _, t := range s.tracks {
		if t.state == opened && !t.postedLate && t.session.State() == session.Draining && s.late.chance(0.5) {
			t.postedLate, t.meddled = true, true
			t.post(func() {})
		}
	}
}

// disturbLine is disturb for a connection that a client of the engine has made.
func (s *simulation) disturbLine(k *line) {
	if s.quiet > 0 || s.failed || s.flushing != nil {
		return
	}
	if k.state == opened && s.chance(s.faults.ambush) {
		if s.chance(0.5) {
			k.leave(true)
		} else {
			_ = k.session.Abort()
			s.note("%s: aborted in the middle of a call", k)
		}
		s.rouse(k.session)
	}
	s.letOthers()
}

// letOthers may have somebody else act.
func (s *simulation) letOthers() {
	switch {
	case !s.chance(s.faults.disturb):
	case s.hands.current != nil:
		s.hands.yield(s.now)
	case s.depth < nestedMax:
		before, held := s.now, s.held
		s.depth++
		s.step()
		s.depth--
		s.held = held + s.now.Sub(before)
	}
}

// ambush ends a connection, and lets its loop find out at once.
func (s *simulation) ambush(t *track) {
	t.meddled = true
	if w := t.peer.socket; s.chance(0.5) && !t.peer.done {
		t.peer.leave(!w.unix)
	} else {
		_ = t.session.Abort()
		s.note("%s: aborted in the middle of a call", t)
	}
	s.rouse(t.session)
}

// heldUp is how much time has passed in the middle of calls since a session's loop began its
// turn, or last read in it.
func (s *simulation) heldUp(t *track) time.Duration {
	if t.session == nil {
		return 0
	}
	return s.held - s.loopOf(t.session).held
}

func (s *simulation) loopOf(of *session.Session) *simLoop {
	return s.loops[of.ID()&(firstSession-1)%uint64(len(s.loops))]
}

// rouse has a session's loop go on, unless a worker does this, who lets others go on
// anyway.
func (s *simulation) rouse(of *session.Session) {
	if s.depth == nestedMax || s.hands.current != nil {
		return
	}
	s.depth++
	l := s.loopOf(of)
	for range 3 {
		if s.runnable(l) {
			s.resume(l, nil)
		}
	}
	s.depth--
}

// block may have a handler take long, or hang.
func (s *simulation) block(t *track) {
	onWorker := s.hands.current != nil && s.hands.current.worker
	switch {
	case s.quiet > 0 || s.failed || !t.inHandler:
	case onWorker && s.hang:
		s.hang = false
		s.hung++
		s.note("%s: its handler hangs", t)
		s.hands.current.hangs = true
		s.hands.yield(s.now)
	case onWorker && s.crew.blocks > 0 && s.chance(s.crew.slow):
		s.crew.blocks--
		s.hands.yield(s.now.Add(s.within(100 * time.Millisecond)))
	case s.hands.current == nil && s.dwells > 0 && !s.actors[0].busy && s.chance(0.05):
		s.dwells--
		s.dwell(s.within(200 * time.Millisecond))
	}
}

// allow draws how much of n may be moved.
func (s *simulation) allow(n int) int {
	switch {
	case n == 0 || s.failed:
		return n
	case s.chance(s.faults.again):
		return 0
	case s.chance(s.faults.short):
		return s.upTo(n)
	}
	return n
}

func (s *simulation) recv(from *socket, n int) int {
	if from.fd < 0 {
		return n
	}
	if k := s.lines[from.port]; k != nil {
		s.disturbLine(k)
		return s.allow(n)
	}
	t := s.byPort[from.port]
	if t.clock.met.IsZero() {
		t.clock.met = s.now
	}
	t.checkRead()
	s.disturb(t)
	return s.allow(n)
}

func (s *simulation) send(to *socket, n int) int {
	if to.fd < 0 {
		return n
	}
	if k := s.lines[to.port]; k != nil {
		if to.shut && !to.peer.closed {
			s.failf("%s: written behind its FIN", k)
		}
		if k.session.Stats().Queued >= s.high {
			k.pulse.mute = time.Time{}
		}
		s.disturbLine(k)
		return s.allow(n)
	}
	t := s.byPort[to.port]
	t.writing++
	if t.session != nil && t.session.Stats().Queued >= s.high {
		t.clock.pulse.mute = time.Time{} // reading pauses, and the time begins anew
	}
	if to.shut && !to.peer.closed {
		s.failf("%s: written behind its FIN", t)
	}
	s.disturb(t)
	return s.allow(n)
}

func (s *simulation) moved(call string, of *socket, n int, errno syscall.Errno) {
	s.note("%s connection %d fd %d: %d, errno %d", call, of.port, of.fd, n, int(errno))
	if of.fd < 0 {
		return
	}
	if k := s.lines[of.port]; k != nil {
		k.moved(call, n)
		return
	}
	t := s.byPort[of.port]
	if n > 0 && call == "recv" {
		t.read(n)
	}
	if call == "recv" {
		if t.session != nil {
			s.loopOf(t.session).held = s.held // it looks later whether messages have expired
		}
		return
	}
	if n > 0 {
		t.clock.move(s.now)
	}
	if in := of.peer.in; of.peer.closed {
		t.out.lost += n
	} else {
		t.left(in[len(in)-n:])
	}
	s.disturb(t) // the session does not know yet what was taken
	t.writing--
	if t.session != nil && t.session.State() == session.Closed {
		t.out.late += n
	}
}

func (s *simulation) accept() (errno syscall.Errno) {
	if !s.failed && s.chance(s.faults.accept) {
		errnos := []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPERM, syscall.EINTR}
		errno = pick(s.draws, errnos...)
	}
	s.note("accept, errno %d", int(errno))
	return errno
}

func (s *simulation) register(r *registration) error {
	if r.token >= firstSession {
		if s.chance(s.faults.register) {
			s.note("add %#x fails", uint64(r.token))
			return os.NewSyscallError("add", syscall.ENOMEM)
		}
		r.at = s.now
		s.history = append(s.history, r)
	}
	return nil
}

// firstSession is above all tokens that are not sessions' ids.
const firstSession = 1 << 24

func (s *simulation) wait(p *memoryPoller, park bool, deadline time.Time) error {
	l := s.loops[p.index]
	l.parked, l.deadline = park, deadline
	if !park {
		l.deadline = time.Time{}
	}
	l.yielded <- struct{}{}
	return <-l.resume
}

func (s *simulation) ended(p *memoryPoller) {
	l := s.loops[p.index]
	s.note("loop %d ends", p.index)
	l.over = true
	l.yielded <- struct{}{}
}

func (s *simulation) arrange(ready []*registration) int {
	s.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	if s.chance(s.faults.hold) {
		return s.IntN(len(ready) + 1)
	}
	return len(ready)
}

func (s *simulation) invent(p *memoryPoller, events []poller.Event, n int) int {
	for range 4 {
		if len(s.history) == 0 || n == len(events) || !s.chance(s.faults.stale) {
			break
		}
		r := s.history[s.IntN(len(s.history))]
		if r.poller != p {
			continue
		}
		ready := poller.Ready(1 + s.IntN(1<<6-1))
		if !r.over {
			ready &= poller.Readable | poller.Writable | poller.ReadClosed | poller.Urgent
		}
		if ready == 0 {
			continue
		}
		events[n] = poller.Event{Token: r.token, Ready: ready}
		n++
	}
	for _, event := range events[:n] {
		s.note("loop %d is told %#x: %06b", p.index, uint64(event.Token), event.Ready)
	}
	return n
}
