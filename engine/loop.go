package engine

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
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
//  4. take the mailbox: sessions that want to be looked at, and tasks
//  5. flush what could not be written before
//  6. close what was marked
//
// Nothing here blocks but step 2. All fields belong to the loop's goroutine
// unless they say otherwise.
type loop struct {
	engine  *Engine
	index   int
	sockets sock.System   // any goroutine
	mail    mailbox       // any goroutine
	slots   slots         // any goroutine, in part
	live    atomic.Int32  // sessions placed here; any goroutine
	order   atomic.Uint32 // an order; any goroutine may raise it
	stats   loopStats     // any goroutine may read
	asked   atomic.Bool   // acceptors are to be looked at; any goroutine may ask
	goid    atomic.Uint64 // of the loop's goroutine

	poller poller.Poller
	events []poller.Event

	clock   inject.Clock
	now     time.Time     // of this turn, since the poll
	found   bool          // this turn's poll found something
	foundAt time.Time     // when a poll last did
	gap     time.Duration // between then and the time before
	wheel   wheel

	acceptors []*acceptor
	ready     []uint64 // ids of sessions with something to read
	reading   []uint64 // the same, of the turn before
	dirty     []uint64 // ids of sessions with something to write
	flushing  []uint64
	marked    []*conn
	tasks     [taskBatch]func()
	obeyed    uint32 // the order that was carried out
	bytesIn   uint64 // received in this turn, not yet in stats

	segment *buffer.Segment // what sessions are read into, one after the other
}

// Orders to a loop. They only rise.
const (
	orderRun uint32 = iota
	orderDrain
	orderAbort
)

const (
	eventBatch = 512 // events per poll
	taskBatch  = 64  // tasks per turn

	// spinWorth is how many spins may lie between two events for the next spin
	// to be tried. Waking from a park takes as long as one or two of them.
	spinWorth = 4

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
	l.mail.wake, l.mail.limit = p.Wake, e.options.mailbox
	l.slots.loop, l.slots.stride = l, uint32(e.options.loops)
	l.wheel.timer = func(index uint32) *timer { return &l.slots.at(index).timer }
	l.segment = e.pool.Get(e.options.readSize)
	return l, nil
}

func (l *loop) run() {
	defer l.engine.loopEnded()
	l.goid.Store(goroutineID())
	for !l.finished() {
		l.turn()
	}
	l.end()
}

func (l *loop) turn() {
	l.expire()      // 1
	l.poll()        // 2
	l.readReady()   // 3
	l.takeMail()    // 4
	l.flushDirty()  // 5
	l.closeMarked() // 6
	if l.found {
		runtime.Gosched() // a loop that is never idle would keep others waiting for 20 ms
	}
}

// 1. Due timers.
func (l *loop) expire() {
	l.wheel.advance(l.tickOf(l.now), func(slot uint32) { l.deadline(l.slots.at(slot)) })
	for _, a := range l.acceptors {
		if a.pauseOver(l.now) {
			a.resume()
		}
	}
}

// 2. Poll.
func (l *loop) poll() {
	n, err := l.wait()
	l.now = l.clock.Now()
	l.stats.turns.Add(1)
	if err != nil {
		l.engine.fail(fmt.Errorf("engine: poller of loop %d: %w", l.index, err))
	}
	for _, event := range l.events[:n] {
		l.note(event)
	}
	l.found = n > 0
	if l.found {
		l.gap, l.foundAt = l.now.Sub(l.foundAt), l.now
	}
}

// wait polls, and parks if there is nothing to do.
func (l *loop) wait() (n int, err error) {
	if len(l.ready)+len(l.dirty)+len(l.marked) > 0 || l.acceptReady() || !l.mail.empty() {
		return l.poller.Poll(l.events)
	}
	if n, err = l.spin(); n > 0 || err != nil {
		return n, err
	}
	if !l.mail.sleep() {
		return l.poller.Poll(l.events)
	}
	defer l.mail.awake()
	l.stats.parks.Add(1)
	return l.poller.Park(l.events, l.nextExpiry())
}

// spin polls for a while instead of parking, if the next event is likely to come
// within that time: the last one came soon, a park's own delay included.
func (l *loop) spin() (n int, err error) {
	window := l.engine.options.spin
	if window == 0 || l.gap > spinWorth*window {
		return 0, nil
	}
	for begin := l.clock.Now(); l.clock.Now().Sub(begin) < window; {
		if n, err = l.poller.Poll(l.events); n > 0 || err != nil || !l.mail.empty() {
			return n, err
		}
	}
	return 0, nil
}

// nextExpiry is when a timer is due next; zero if none is.
func (l *loop) nextExpiry() (at time.Time) {
	if t, ok := l.wheel.next(); ok {
		at = l.timeOf(t)
	}
	for _, a := range l.acceptors {
		if !a.retryAt.IsZero() && (at.IsZero() || a.retryAt.Before(at)) {
			at = a.retryAt
		}
	}
	return at
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

// 3. Read.
func (l *loop) readReady() {
	for _, a := range l.acceptors {
		if a.readable && a.retryAt.IsZero() {
			a.accept()
		}
	}
	l.ready, l.reading = l.reading[:0], l.ready
	for _, id := range l.reading {
		if c := l.find(id); c != nil {
			c.flags &^= listed
			l.read(c)
		}
	}
	if l.bytesIn > 0 {
		l.stats.bytesIn.Add(l.bytesIn)
		l.bytesIn = 0
	}
}

// read reads c until it is empty, paused or over, or its budget is used up.
func (l *loop) read(c *conn) {
	for budget := l.engine.options.readBudget; budget > 0; {
		if c.flags&(readable|paused|marked|sawFIN) != readable {
			return
		}
		room := l.segment.Bytes()
		n, errno := l.sockets.Recv(int(c.fd), room)
		switch {
		case errno == syscall.EAGAIN:
			c.flags &^= readable | mustDrain
			if c.flags&failing != 0 {
				l.mark(c)
			}
			return
		case errno != 0:
			c.drive().Broken(errno)
			l.mark(c)
			return
		case n == 0:
			c.flags |= sawFIN
			l.settle(c, c.drive().PeerClosed())
			l.closeIfDeaf(c) // a reset may have come behind the FIN, which hides it from reads
			return
		}
		if n < len(room) && c.flags&mustDrain == 0 {
			c.flags &^= readable
		}
		budget -= n
		c.flags |= received
		c.activeAt = l.tickOf(l.now)
		l.bytesIn += uint64(n)
		l.settle(c, c.drive().Deliver(l.segment, room[:n]))
		l.keepSegmentPrivate()
	}
	l.listReady(c)
}

// keepSegmentPrivate replaces the segment if somebody still refers to it.
func (l *loop) keepSegmentPrivate() {
	if l.segment.Shared() {
		l.segment.Release()
		l.segment = l.engine.pool.Get(l.engine.options.readSize)
	}
}

// settle makes c follow its session's status.
func (l *loop) settle(c *conn, st transport.Status) {
	if st == 0 && c.flags&(paused|stuck|armed) == 0 {
		return // nothing to do, as after nearly every message
	}
	if st&transport.Aborted != 0 {
		l.mark(c)
		return
	}
	if st&transport.Draining != 0 {
		c.flags |= ending
	}
	if st&transport.Drained != 0 {
		l.awaitFIN(c)
	}
	if st&transport.Failed != 0 {
		l.readRest(c)
	}
	l.watchOutput(c, st)
	l.pause(c, st&transport.Paused != 0 && c.flags&(ending|failing) == 0)
}

// pause stops reading c, or goes on.
func (l *loop) pause(c *conn, on bool) {
	switch {
	case on:
		c.flags |= paused
		l.closeIfDeaf(c)
	case c.flags&paused != 0:
		c.flags &^= paused
		c.activeAt = l.tickOf(l.now)
		l.schedule(c)
		l.listReady(c)
	}
}

// readRest has c read to its end and closed, since nothing can be written.
func (l *loop) readRest(c *conn) {
	if c.flags&sawFIN != 0 {
		l.mark(c)
		return
	}
	c.flags |= failing | readable | mustDrain
	l.listReady(c)
}

// awaitFIN closes c when the peer has sent FIN, too, and until then discards
// what comes: closing with unread input would reset the peer, and take from it
// what it has not read yet.
func (l *loop) awaitFIN(c *conn) {
	if c.flags&sawFIN != 0 {
		l.mark(c)
		return
	}
	if c.flags&lingering == 0 {
		c.flags |= lingering
		c.waitingAt = l.tickOf(l.now)
		l.schedule(c)
	}
}

// watchOutput times output that waits for the kernel, and has it flushed.
func (l *loop) watchOutput(c *conn, st transport.Status) {
	if st&transport.Pending != 0 {
		l.listDirty(c)
	}
	l.arm(c, st&transport.Blocked != 0)
	if st&transport.Blocked == 0 {
		if c.flags&stuck != 0 {
			c.flags &^= stuck
			l.schedule(c) // other deadlines count again
		}
		return
	}
	if c.flags&stuck == 0 {
		l.listDirty(c) // room may have been told of before we listened
	}
	sent := uint32(c.drive().Progress())
	if c.flags&stuck == 0 || sent != c.sentSeen {
		c.flags |= stuck
		c.waitingAt = l.tickOf(l.now)
		c.sentSeen = sent
		l.schedule(c)
	}
}

// arm asks the poller to tell of room for output, or not to. TCP sockets are
// armed for good: they tell only after they were full. Unix sockets tell at
// every read of the peer.
func (l *loop) arm(c *conn, on bool) {
	if c.flags&local == 0 || on == (c.flags&armed != 0) {
		return
	}
	c.flags ^= armed
	interest := poller.Read
	if on {
		interest |= poller.Write
	}
	if err := l.poller.Modify(int(c.fd), interest, poller.Token(c.id)); err != nil {
		c.drive().End(session.ReasonIOError, err, true)
		l.mark(c)
	}
}

// closeIfDeaf closes a session that has hung up and would not find out by
// reading, because it is paused or has read the peer's FIN. What it has not read
// is lost, as it could not answer.
func (l *loop) closeIfDeaf(c *conn) {
	if c.flags&hungUp == 0 || c.flags&(paused|sawFIN) == 0 {
		return
	}
	errno, _ := l.sockets.Option(int(c.fd), sock.SocketError)
	if errno == 0 {
		errno = int(syscall.ECONNRESET)
	}
	c.drive().Broken(syscall.Errno(errno))
	l.mark(c)
}

// 4. Take the mailbox.
func (l *loop) takeMail() {
	l.mail.answer()
	if order := l.order.Load(); order != l.obeyed {
		l.obey(order)
	}
	if l.asked.Swap(false) {
		l.lookAtAcceptors()
	}
	for c := l.mail.takeConns(); c != nil; {
		following := c.next
		c.next = nil
		if c.posted.Swap(notPosted) == postedLast {
			l.free(c)
		} else {
			l.attend(c)
		}
		c = following
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

// open registers a new conn and opens its session.
func (l *loop) open(c *conn) {
	c.flags &^= fresh
	c.openedAt = l.tickOf(l.now)
	c.activeAt = c.openedAt
	c.sentSeen = 0
	interest := poller.Read
	if c.flags&local == 0 {
		interest |= poller.Write
	}
	if err := l.poller.Add(int(c.fd), interest, poller.Token(c.id)); err != nil {
		l.engine.log.acceptError(acceptRegister, err)
		l.stats.refused.Add(1)
		c.drive().End(session.ReasonIOError, err, true)
		l.mark(c)
		return
	}
	st, opened := c.drive().Open()
	l.settle(c, st)
	if opened {
		l.stats.opened.Add(1)
		l.engine.log.open(c.session.Load())
	}
	if l.obeyed != orderRun {
		l.sendAway(c)
	}
	l.schedule(c)
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

// close ends a session: it takes the descriptor from it, calls OnClose, and lets
// go of the loop's count. If somebody is just writing, that one closes.
func (l *loop) close(c *conn) {
	s := c.session.Load()
	c.flags |= gone
	l.wheel.clear(c.slot())
	driver := c.drive()
	st := driver.Status()
	if st&transport.Aborted != 0 {
		_ = l.sockets.SetOption(int(c.fd), sock.Linger, 0) // RST instead of FIN
	}
	if st&transport.Exposed != 0 {
		_ = l.poller.Remove(int(c.fd)) // a duplicate would keep the registration
	}
	c.session.Store(nil) // when OnClose is called, the id finds nothing any more
	reason, opened := driver.Close()
	l.live.Add(-1)
	if opened {
		l.stats.closed[reason.Reason].Add(1)
		l.stats.unsent.Add(uint64(reason.Unsent))
		l.stats.bytesOut.Add(s.Stats().BytesOut)
		l.engine.log.close(s, reason)
	}
	c.Release()
}

// free gives back the slot of a conn whose descriptor is closed.
func (l *loop) free(c *conn) {
	c.flags = 0
	l.slots.give(c)
	l.engine.descriptorFreed()
}
