package engine

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/inject"
	"github.com/weirnet/weir/internal/sock"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/poller"
	"github.com/weirnet/weir/session"
)

// A loop is one goroutine with one poller, and everything that happens to its
// sessions' descriptors. It lives in turns:
//
//  1. due timers
//  2. poll: park until something is ready, somebody knocks, or a timer is due
//  3. read the ready sessions, with a budget each, and run their handlers
//  4. take the mailbox: what groups send, sessions that want to be looked at, tasks
//  5. flush what could not be written before
//  6. close what was marked
//  7. hand the sessions whose handlers have something to do to the workers
//
// In mode Pool step 3 only reads; in the others it runs the handlers, and step 7
// has nothing to do. Nothing here blocks but step 2. What a step does to one session stands in files of
// their own: park.go (2), read.go (3), output.go (5), life.go (4 and 6); deadlines in
// deadline.go (1), accepting in acceptor.go (3).
//
// All fields belong to the loop's goroutine unless they say otherwise.
type loop struct {
	engine     *Engine
	index      int
	sockets    sock.System   // any goroutine
	mail       mailbox       // any goroutine
	slots      slots         // any goroutine, in part
	live       atomic.Int32  // sessions placed here; any goroutine
	order      atomic.Uint32 // the highest order given; any goroutine may raise it
	stats      loopStats     // any goroutine may read
	asked      atomic.Bool   // acceptors are to be looked at; any goroutine may ask
	goid       atomic.Uint64 // of the loop's goroutine; 0: there is none
	overloaded atomic.Bool   // the executor has no room; any goroutine may say so
	lag        lag           // any goroutine may read

	serves atomic.Pointer[session.Session] // whose handlers run here, where the slots do not tell; any goroutine may read

	poller poller.Poller
	events []poller.Event

	clock   inject.Clock
	now     time.Time     // of this turn, since the poll
	idleAt  time.Time     // when the last turn left nothing to do; zero if it did not
	found   bool          // this turn's poll found something
	foundAt time.Time     // when a poll last did
	gap     time.Duration // between then and the time before
	yielded time.Time     // when other threads were last let run
	wheel   wheel

	acceptors   []*acceptor
	ready       []uint64           // ids of sessions with something to read
	braked      bool               // most of them are not to be read now: memory is scarce
	reading     []uint64           // the list that step 3 works off
	dirty       []uint64           // ids of sessions with something to write
	flushing    []uint64           // the list that step 5 works off
	marked      []*conn            // to be closed in step 6
	due         []*session.Session // to be handed over in step 7
	queue       *runQueue          // of the workers; nil where the loop runs handlers
	news        []poller.Event     // of this turn, not yet noted
	letters     *conn              // taken from the mailbox in step 4, not yet looked at
	broken      interruption       // what is lost if a handler now ends the goroutine
	tasks       [taskBatch]func()
	caster      caster
	obeyed      uint32    // the order that was carried out
	departure   departure // of the sessions, while the engine drains
	interrupted bool      // a handler ended the goroutine in the middle of a turn
	bytesIn     uint64    // received in this turn, not yet in stats

	segment *buffer.Segment // what sessions are read into, one after the other
	used    int             // bytes of it that somebody refers to
}

// Orders to a loop. They only rise.
const (
	orderRun uint32 = iota
	orderDrain
	orderAbort
	orderAbandon // also handlers that still run
)

const (
	eventBatch = 512 // events per poll
	taskBatch  = 64  // tasks per turn

	tickLength = 10 * time.Millisecond
)

func newLoop(e *Engine, index int) (*loop, error) {
	p, err := e.deps.NewPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{
		engine: e, index: index, sockets: e.deps.Sockets, clock: e.deps.Clock,
		poller: p, events: make([]poller.Event, eventBatch),
	}
	l.now = l.clock.Now()
	l.caster.init(l)
	l.mail.wake, l.mail.limit = p.Wake, e.options.mailbox
	l.slots.loop, l.slots.stride = l, uint32(e.options.loops)
	l.wheel.timer = func(index uint32) *timer { return &l.slots.at(index).timer }
	l.segment = e.pool.Get(e.options.readSize)
	if e.executor != nil {
		l.queue = newRunQueue(&e.shared, e.executor, l.handlersRest)
	}
	return l, nil
}

func (l *loop) run() {
	returned := false
	defer func() { l.left(returned, recover()) }()
	l.goid.Store(goroutineID())
	if l.interrupted {
		l.resume()
	}
	for !l.finished() {
		l.turn()
	}
	l.goid.Store(0)
	l.end()
	returned = true
}

func (l *loop) turn() {
	l.expire()      // 1
	l.poll()        // 2
	l.readReady()   // 3
	l.takeMail()    // 4
	l.flushDirty()  // 5
	l.closeMarked() // 6
	l.handOver()    // 7
	if l.found {
		l.yield()
	}
}

// yield lets others run: goroutines after each turn, which a loop that is never idle would
// keep waiting for 20 ms, and if it is to, now and then, threads, which wait for the end of a
// slice of the kernel's.
func (l *loop) yield() {
	if every := l.engine.options.yield; every > 0 && l.now.Sub(l.yielded) >= every {
		l.yielded = l.now
		l.engine.deps.Yield()
	}
	runtime.Gosched()
}

// 1. Due timers.
func (l *loop) expire() {
	l.wheel.advance(l.tickOf(l.now), func(slot uint32) { l.deadline(l.slots.at(slot)) })
	for _, a := range l.acceptors {
		if a.pauseOver(l.now) {
			a.resume()
		}
	}
	l.sendNextAway()
}

// 2. Poll.
func (l *loop) poll() {
	began := l.now
	n, err := l.wait()
	l.now = l.clock.Now()
	l.stats.turns.Add(1)
	l.turnEnded(began)
	l.engine.overseer.stir()
	if err != nil {
		l.engine.fail(fmt.Errorf("engine: poller of loop %d: %w", l.index, err))
	}
	l.news = l.events[:n]
	l.noteNews()
	l.found = n > 0
	if l.found {
		l.gap, l.foundAt = l.now.Sub(l.foundAt), l.now
	}
}

func (l *loop) noteNews() {
	for len(l.news) > 0 {
		event := l.news[0]
		l.news = l.news[1:]
		l.note(event)
	}
}

// note remembers what an event tells, for the steps that follow.
func (l *loop) note(event poller.Event) {
	if uint64(event.Token) < generation {
		a := l.acceptors[event.Token]
		a.readable = !a.closed
		return
	}
	c := l.find(uint64(event.Token))
	if c == nil {
		l.stats.stale.Add(1)
		return
	}
	// On a unix socket a read also stops short at a passed descriptor.
	if event.Ready&poller.MustDrain != 0 || c.flags&local != 0 {
		c.flags |= mustDrain
	}
	if event.Ready&(poller.Readable|poller.MustDrain) != 0 {
		c.flags |= readable
		l.listReady(c)
	}
	if event.Ready&(poller.HangUp|poller.Failed) != 0 {
		c.flags |= hungUp
		l.closeIfDeaf(c)
	}
	if event.Ready&poller.Writable != 0 && c.flags&stuck != 0 {
		l.listDirty(c)
	}
}

// 3. Read.
func (l *loop) readReady() {
	if l.queue == nil {
		l.engine.shared.Cork.Gather() // handlers run
		defer l.engine.shared.Cork.Release()
	}
	for _, a := range l.acceptors {
		if a.readable && a.retryAt.IsZero() {
			a.accept()
		}
	}
	if l.braked && len(l.ready) == 0 {
		l.brake(false) // nobody waits
	}
	l.ready, l.reading = l.reading[:0], l.ready
	for _, id := range l.reading {
		c := l.find(id)
		switch {
		case c == nil:
		case l.brakes() && !l.mayReadLittle(c):
			l.ready = append(l.ready, id)
		default:
			c.flags &^= listed
			l.read(c)
		}
	}
	if l.bytesIn > 0 {
		l.stats.bytesIn.Add(l.bytesIn)
		l.bytesIn = 0
	}
}

// 4. Take the mailbox.
func (l *loop) takeMail() {
	l.mail.answer()
	order := l.order.Load()
	l.mail.errands.RunAll()
	if order != l.obeyed {
		l.obey(order)
	}
	if l.asked.Swap(false) {
		l.lookAtAcceptors()
	}
	for l.letters = l.mail.takeConns(); l.letters != nil; {
		c := l.letters
		l.letters, c.next = c.next, nil
		if c.posted.Swap(notPosted) == postedLast {
			l.free(c)
		} else {
			l.attend(c)
		}
	}
	n := l.mail.takeTasks(l.tasks[:])
	for i := range n {
		l.runTask(l.tasks[i])
		l.tasks[i] = nil
	}
}

// attend looks at a conn that was posted, because it is new or its session
// changed.
func (l *loop) attend(c *conn) {
	switch {
	case c.flags&fresh != 0:
		l.open(c)
	case c.flags&gone == 0:
		l.settle(c, c.drive().Status())
	}
}

// 5. Flush.
func (l *loop) flushDirty() {
	l.dirty, l.flushing = l.flushing[:0], l.dirty
	for _, id := range l.flushing {
		if c := l.find(id); c != nil {
			c.flags &^= dirty
			l.settle(c, c.drive().Writable())
		}
	}
}

// 6. Close.
func (l *loop) closeMarked() {
	for i, c := range l.marked {
		l.marked[i] = nil
		l.close(c)
	}
	l.marked = l.marked[:0]
}

// 7. Hand over.
func (l *loop) handOver() {
	if len(l.due) > 0 {
		l.queue.add(l.due)
		clear(l.due)
		l.due = l.due[:0]
		l.engine.overseer.rouse()
	}
	if l.overloaded.Load() && l.overloaded.Swap(false) {
		l.relieve()
	}
}

// The steps leave work to each other in lists: of ids, which find nothing once their
// conn is closed, and of conns to be closed.

// find returns the conn that an id names, if it is still that one and open.
func (l *loop) find(id uint64) *conn {
	c := l.slots.at(uint32(id&placeMask) / l.slots.stride)
	if c.id != id || c.flags&gone != 0 {
		return nil
	}
	return c
}

// listReady has c read in step 3, if it wants to be.
func (l *loop) listReady(c *conn) {
	if c.flags&(readable|paused|listed|fresh) == readable {
		c.flags |= listed
		l.ready = append(l.ready, c.id)
	}
}

// listDirty has c written in step 5.
func (l *loop) listDirty(c *conn) {
	if c.flags&dirty == 0 {
		c.flags |= dirty
		l.dirty = append(l.dirty, c.id)
	}
}

// mark has c closed in step 6.
func (l *loop) mark(c *conn) {
	if c.flags&marked == 0 {
		c.flags |= marked
		l.marked = append(l.marked, c)
	}
}

// settle makes c follow its session's status.
func (l *loop) settle(c *conn, st transport.Status) {
	if st&transport.Due != 0 && l.queue != nil {
		l.due = append(l.due, c.session.Load())
		st &^= transport.Due
	}
	if st&transport.Beats != 0 || c.flags&beating != 0 {
		l.watchHeart(c, st)
		st &^= transport.Beats
	}
	if st == 0 && c.flags&(paused|stuck|armed) == 0 {
		return // nothing to do, as after nearly every message
	}
	if st&transport.Aborted != 0 {
		l.mark(c)
		return
	}
	if st&transport.Draining != 0 {
		c.flags |= ending
		if st&transport.Drained != 0 {
			l.awaitFIN(c)
		}
	}
	if st&transport.Failed != 0 {
		l.readRest(c)
	}
	l.watchOutput(c, st)
	l.pause(c, st)
}
