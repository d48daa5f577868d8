package session_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/buffer"
	"github.com/weirnet/weir/internal/fuzz"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
)

// The model of groups: loops, workers, users and kernels do things in an order that
// follows from a seed, and do them in the middle of each other's writes, too. What
// comes out is compared with what was published.

var (
	groupSeed  = flag.Uint64("groupseed", 0, "run the model of groups with this seed only")
	groupSeeds = flag.Int("groupseeds", 0, "run the model of groups with so many seeds")
)

func TestGroupModel(t *testing.T) {
	seeds, first := 400, uint64(1)
	switch {
	case *groupSeed != 0:
		seeds, first = 1, *groupSeed
	case *groupSeeds != 0:
		seeds = *groupSeeds
	case testing.Short():
		seeds = 100
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		steps := 0
		more := func() bool { steps++; return steps <= 400 }
		if err := newWorld(rand.New(rand.NewPCG(seed, 17))).live(more); err != nil {
			t.Fatalf("%v\nagain: go test ./session -run TestGroupModel -groupseed %d", err, seed)
		}
	}
}

// world is an engine that exists only here, and all who use it.
type world struct {
	random *rand.Rand
	shared *transport.Shared
	groups *session.Groups
	now    int64

	errands  []transport.Errands // of each loop
	busy     []bool              // the loop is in the middle of something
	segments []*buffer.Segment   // each loop reads into

	actors    []*actor
	rooms     []*modelRoom
	depth     int // how many writes lie around what happens now
	gathering int
	locked    bool // a snapshot is being sent: the room's lock is held
	owed      int  // messages times members
	taken     int  // that kernels took, in part at least
	unclear   int  // pieces at the end of streams that are too short to tell what they are
	mistakes  []error
}

// modelRoom is what a group is to do.
type modelRoom struct {
	config session.GroupConfig
	sent   []modelMessage // ever
	in     map[*actor]bool
}

type modelMessage struct {
	size    int
	key     string
	expires int64
	except  *actor
}

// stay is what one member is owed: the messages from one to another, exclusive.
type stay struct {
	from, until int // until is -1 while it lasts
	order       int // number of the snapshot, among what the member was sent; -1 without
}

// actor is one session, with its kernel and its part of a loop.
type actor struct {
	*fakeLink
	world   *world
	session *session.Session
	driver  session.Driver
	loop    int
	framed  bool

	// The kernel.
	room   int // bytes
	broken bool
	event  bool // there is room that the loop has not heard of

	// The loop.
	attend, dirty, blocked, marked, closed bool

	due, running bool // of the strand

	stays  [][]stay // by room
	sends  int      // own messages that were taken, so far
	echoes int
	notes  int             // completions that are due
	heard  map[string]bool // what OnLag said last, by group
	mute   bool            // CloseWrite
	closes int
	reason session.Reason
}

// FuzzGroups has the input say what happens.
func FuzzGroups(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		if err := newWorld(c.Rand).live(c.More); err != nil {
			t.Fatal(err)
		}
	})
}

func newWorld(random *rand.Rand) *world {
	w := &world{random: random, now: 1}
	loops := 1 + w.random.IntN(3)
	w.errands, w.busy = make([]transport.Errands, loops), make([]bool, loops)
	w.shared = &transport.Shared{
		Pool:      buffer.NewPool(buffer.Config{Debug: true}),
		TaskLimit: 100, UnreadLimit: 64 << 10, LowWater: 1000, HighWater: 4000, Cap: 8000, QueuedCap: 1 << 40,
		Pooled: w.random.IntN(2) == 0, Loops: loops,
		LoopOf: func(id uint64) int { return int(id) % loops },
		Leave:  func(loop int, x *transport.Errand) { w.errands[loop].Leave(x) },
		OnLoop: func() bool { return true },
		Panicked: func(_ uint64, value any, stack []byte) {
			w.wrong("panic: %v\n%s", value, stack)
		},
	}
	for range loops {
		w.segments = append(w.segments, w.shared.Pool.Get(4096))
	}
	for range 1 + w.random.IntN(3) {
		c := session.GroupConfig{Slow: session.SlowPolicy(w.random.IntN(4)), QueueBytes: []int{0, 300, 1000, 4000}[w.random.IntN(4)]}
		c.OnLag = w.lagged
		w.rooms = append(w.rooms, &modelRoom{config: c, in: make(map[*actor]bool)})
	}
	w.shared.Cork.Holding = func() {}
	w.groups = session.NewGroups(w.shared, func() int64 { return w.now }, true, func(name string) session.GroupConfig {
		return w.rooms[name[0]-'a'].config
	}, transport.Key{})
	return w
}

func (w *world) group(i int) *session.Group { return w.groups.Group(string(rune('a' + i))) }

func (w *world) wrong(format string, args ...any) {
	w.mistakes = append(w.mistakes, fmt.Errorf(format, args...))
}

// live has things happen as long as there is more to come.
func (w *world) live(more func() bool) error {
	for more() {
		w.step()
		for g, room := range w.rooms {
			if n := w.group(g).Stats().Members; n != len(room.in) {
				w.wrong("a group has %d members, want %d", n, len(room.in))
			}
		}
		if w.mistakes != nil {
			break
		}
	}
	w.calm()
	for _, a := range w.actors {
		a.check()
	}
	if st, _ := w.groups.Stats(); st.Queued != 0 {
		w.wrong("%d messages wait though there is room", st.Queued)
	}
	for _, a := range w.actors {
		if !a.closed {
			a.busily(a.close)
		}
	}
	w.calm()
	slow := 0
	for _, a := range w.actors {
		a.count()
		if a.notes != 0 {
			w.wrong("%d completions did not come", a.notes)
		}
		if a.reason == session.ReasonSlowConsumer {
			slow++
		}
		if a.closes != 1 {
			w.wrong("OnClose came %d times", a.closes)
		}
		if a.refs != 0 {
			w.wrong("%d counts left on a descriptor", a.refs)
		}
	}
	st, groups := w.groups.Stats()
	if groups != 0 || st.Members != 0 || st.Queued != 0 {
		w.wrong("%d groups left: %+v", groups, st)
	}
	if n := int(st.Delivered + st.Dropped + st.Expired + st.Unsent); n != w.owed {
		w.wrong("%d messages were owed, counted are %d: %+v", w.owed, n, st)
	}
	if n := int(st.Delivered); n < w.taken || n > w.taken+w.unclear {
		w.wrong("%d messages came, counted are %d", w.taken, n)
	}
	if int(st.Closed) != slow {
		w.wrong("%d sessions were too slow, counted are %d", slow, st.Closed)
	}
	for _, s := range w.segments {
		s.Release()
	}
	if st := w.shared.Pool.Stats(); st.InUse != 0 || st.Segments != 0 {
		w.wrong("buffers left: %+v", st)
	}
	if w.shared.Queued.Load() != 0 || w.shared.Unread.Load() != 0 {
		w.wrong("still charged: %d queued, %d unread", w.shared.Queued.Load(), w.shared.Unread.Load())
	}
	return errors.Join(w.mistakes...)
}

// step is one thing that somebody does.
func (w *world) step() {
	switch n := w.random.IntN(100); {
	case n < 45:
		w.use()
	case n < 60:
		w.runErrands(w.random.IntN(len(w.errands)))
	case n < 63 && len(w.actors) < 8:
		w.connect()
	case n < 97:
		if a := w.anyone(); a != nil {
			a.turn()
		}
	default:
		w.now += int64(w.random.IntN(50))
	}
}

func (w *world) anyone() *actor {
	if len(w.actors) == 0 {
		return nil
	}
	return w.actors[w.random.IntN(len(w.actors))]
}

// use is what a user does, on any goroutine.
func (w *world) use() {
	a, g := w.anyone(), w.random.IntN(len(w.rooms))
	if a == nil {
		return
	}
	switch n := w.random.IntN(100); {
	case n < 40:
		w.publish(g)
	case n < 52:
		w.join(g, a)
	case n < 56:
		w.leave(g, a)
	case n < 74:
		a.send()
	case n < 84:
		a.sendNotify()
	case n < 90:
		if w.gathering > 0 && w.random.IntN(2) == 0 {
			w.gathering--
			w.shared.Cork.Release()
		} else if w.gathering < 2 {
			w.gathering++
			w.shared.Cork.Gather()
		}
	case n < 96:
		w.shared.Cork.Flush()
	case n < 97:
		a.mute = a.session.CloseWrite() == nil || a.mute
	case n < 98:
		_ = a.session.Close()
	case n < 99:
		_ = a.session.Flush()
	default:
		if w.random.IntN(2) == 0 {
			_ = a.session.Abort()
		}
	}
}

const modelHeader = 8

// body is a message: what it is, its length, its number, and bytes that follow from those.
func body(kind byte, room, number, size int) []byte {
	m := make([]byte, modelHeader+size)
	m[0], m[1] = kind, byte(room)
	binary.BigEndian.PutUint16(m[2:], uint16(size))
	binary.BigEndian.PutUint32(m[4:], uint32(number))
	for i := range size {
		m[modelHeader+i] = byte(int(kind) + room + number + i)
	}
	return m
}

func (w *world) size() int {
	switch w.random.IntN(12) {
	case 0:
		return 0
	case 1:
		return 2000 + w.random.IntN(4000)
	}
	return w.random.IntN(300)
}

func (w *world) publish(g int) {
	room := w.rooms[g]
	m := modelMessage{size: w.size()}
	n := session.Notice{Bytes: body('G', g, len(room.sent), m.size)}
	if w.random.IntN(4) == 0 {
		m.key = string(rune('k' + w.random.IntN(3)))
	}
	if w.random.IntN(6) == 0 {
		n.TTL = time.Duration(1 + w.random.IntN(40))
		m.expires = w.now + int64(n.TTL)
	}
	if w.random.IntN(4) == 0 {
		m.except = w.anyone()
		n.Except = m.except.session
	}
	n.Key = m.key
	err := w.group(g).Publish(n)
	clear(n.Bytes)
	switch {
	case err == nil && len(room.in) > 0:
		room.sent = append(room.sent, m)
		w.owed += len(room.in)
		if room.in[m.except] {
			w.owed--
		}
	case err != nil && err != session.ErrBufferFull:
		w.wrong("Publish: %v", err)
	}
}

func (w *world) join(g int, a *actor) {
	room := w.rooms[g]
	order, err := -1, error(nil)
	if w.random.IntN(2) == 0 {
		err = w.group(g).JoinAfter(a.session, func() error {
			w.locked = true
			defer func() { w.locked = false }()
			order = a.sends
			if !a.send() {
				return session.ErrBufferFull
			}
			return nil
		})
	} else {
		err = w.group(g).Join(a.session)
	}
	if err != nil {
		if err != session.ErrClosed && err != session.ErrNotConnected && err != session.ErrBufferFull {
			w.wrong("Join: %v", err)
		}
		return
	}
	if !room.in[a] {
		room.in[a] = true
		a.stays[g] = append(a.stays[g], stay{len(room.sent), -1, order})
	}
}

func (w *world) leave(g int, a *actor) {
	err := w.group(g).Leave(a.session)
	if in := w.rooms[g].in[a]; in != (err == nil) || !in && err != session.ErrNotMember {
		w.wrong("Leave of one who was in: %v; %v", in, err)
	}
	a.left(g)
}

// left ends a stay.
func (a *actor) left(g int) {
	room := a.world.rooms[g]
	if room.in[a] {
		delete(room.in, a)
		a.stays[g][len(a.stays[g])-1].until = len(room.sent)
	}
}

func (w *world) runErrands(loop int) {
	if !w.busy[loop] {
		w.busy[loop] = true
		w.errands[loop].RunAll()
		w.busy[loop] = false
	}
}

func (w *world) lagged(g *session.Group, s *session.Session, behind bool) {
	a := w.actors[s.ID()]
	if a.heard[g.Name()] == behind || a.closes > 0 {
		w.wrong("OnLag says twice, or too late, that a member is behind: %v", behind)
	}
	a.heard[g.Name()] = behind
}

func (w *world) connect() {
	a := &actor{
		fakeLink: &fakeLink{shared: w.shared, refs: 1}, world: w, stays: make([][]stay, len(w.rooms)),
		room: w.random.IntN(10_000), framed: w.random.IntN(2) == 0,
		heard: make(map[string]bool),
	}
	id := uint64(len(w.actors))
	a.loop = w.shared.LoopOf(id)
	if w.busy[a.loop] {
		return
	}
	var h session.Handler = &parts{message: a.message, close: a.ended}
	if a.framed {
		h = session.Framed(h, frame.Default())
	}
	a.session = session.New(id, a, testPeer, time.Unix(100, 0), session.NewBehaviour(h))
	a.driver = session.Drive(a.session, transport.Key{})
	w.actors = append(w.actors, a)
	a.busily(func() {
		st, _ := a.driver.Open()
		a.settle(st)
	})
}

// The kernel.

func (a *actor) Attend()                            { a.attend = true }
func (a *actor) OnLoop() bool                       { return true }
func (a *actor) Send(p []byte) (int, syscall.Errno) { return a.Sendv([][]byte{p}) }
func (a *actor) Shared() *transport.Shared          { return a.world.shared }

func (a *actor) Sendv(views [][]byte) (n int, errno syscall.Errno) {
	w := a.world
	if w.depth < 3 && !w.locked && w.random.IntN(3) == 0 {
		w.depth++
		for range 1 + w.random.IntN(3) {
			w.step()
		}
		w.depth--
	}
	if a.refs == 0 {
		w.wrong("write to a closed descriptor")
	}
	if a.shutdown > 0 {
		w.wrong("write behind FIN")
	}
	if a.broken {
		return 0, syscall.ECONNRESET
	}
	if a.room == 0 {
		return 0, syscall.EAGAIN
	}
	for _, v := range views {
		v = v[:min(len(v), a.room)]
		a.took = append(a.took, v...)
		a.room -= len(v)
		n += len(v)
	}
	return n, 0
}

// The loop, as far as it has to do with one session.

func (a *actor) busily(f func()) {
	w := a.world
	if w.busy[a.loop] {
		return
	}
	w.busy[a.loop] = true
	f()
	w.busy[a.loop] = false
}

// turn is one thing that happens to a session.
func (a *actor) turn() {
	w := a.world
	switch n := w.random.IntN(100); {
	case n < 35:
		a.makeRoom(w.random.IntN(4000))
	case n < 60:
		a.look()
	case n < 70:
		a.work()
	case n < 90:
		a.deliver()
	case n < 91:
		a.broken = w.random.IntN(2) == 0
	case n < 92:
		a.busily(func() {
			if !a.closed {
				a.settle(a.driver.PeerClosed())
			}
		})
	case a.marked && !a.closed:
		a.busily(a.close)
	}
}

func (a *actor) makeRoom(n int) {
	if a.event = a.event || a.room == 0; n == 0 {
		n = 1
	}
	a.room += n
}

// look does what the loop does in a turn without input.
func (a *actor) look() {
	a.busily(func() {
		if a.closed {
			return
		}
		if a.event {
			a.event = false
			a.dirty = a.dirty || a.blocked
		}
		if a.attend {
			a.attend = false
			a.settle(a.driver.Status())
		}
		if a.dirty {
			a.dirty = false
			a.settle(a.driver.Writable())
		}
	})
}

func (a *actor) settle(st transport.Status) {
	if st&transport.Due != 0 && a.world.shared.Pooled {
		if a.due {
			a.world.wrong("asked twice to run the strand")
		}
		a.due = true
	}
	if st&(transport.Aborted|transport.Drained) != 0 {
		a.marked = true
	}
	if st&transport.Failed != 0 && !a.marked {
		a.marked = true
		a.settle(a.driver.Broken(syscall.EPIPE))
	}
	a.dirty = a.dirty || st&transport.Pending != 0 || st&transport.Blocked != 0 && !a.blocked
	a.blocked = st&transport.Blocked != 0
}

func (a *actor) close() {
	a.closed = true
	for g := range a.stays {
		a.left(g)
	}
	_, _, due := a.driver.Close()
	a.due = a.due || due
	a.Release()
}

func (a *actor) deliver() {
	w := a.world
	m := body('E', 0, a.echoes, w.random.IntN(500))
	a.echoes++
	if a.framed {
		m = append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)
	}
	a.busily(func() {
		if a.closed {
			return
		}
		if !w.shared.Pooled {
			w.shared.Cork.Gather()
			defer w.shared.Cork.Release()
		}
		segment := &w.segments[a.loop]
		if (*segment).Shared() {
			(*segment).Release()
			*segment = w.shared.Pool.Get(4096)
		}
		n := copy((*segment).Bytes(), m)
		a.settle(a.driver.Deliver(*segment, (*segment).Bytes()[:n], 0))
	})
}

// work is a worker's turn.
func (a *actor) work() {
	if !a.due || a.running {
		return
	}
	a.running, a.due = true, false
	a.world.shared.Cork.Gather()
	a.due = a.driver.Run(a.world.shared) || a.due
	a.world.shared.Cork.Release()
	a.running = false
}

// The handlers.

func (a *actor) message(s *session.Session, f session.Frame) {
	w := a.world
	if a.framed {
		_ = s.Send(f.Bytes())
	}
	for range w.random.IntN(3) {
		w.use()
	}
}

func (a *actor) ended(_ *session.Session, reason error) {
	a.closes++
	var why *session.CloseError
	if errors.As(reason, &why) {
		a.reason = why.Reason
	}
	if a.notes != 0 {
		a.world.wrong("%d completions did not come before OnClose", a.notes)
	}
}

// send sends a message of the session's own.
func (a *actor) send() bool {
	m := body('O', 0, a.sends, a.world.size())
	a.sends++
	return a.taken(a.session.Send(m))
}

func (a *actor) sendNotify() {
	m, number := body('O', 0, a.sends, a.world.size()), a.sends
	a.sends++
	a.notes++
	if !a.taken(a.session.SendNotify(m, func(err error) {
		a.notes--
		if err == nil && !a.has('O', number) {
			a.world.wrong("a completion came before message %d had left", number)
		}
	})) {
		a.notes--
	}
}

// taken looks at what Send returned. What is refused is not written, so nothing else
// has been sent meanwhile.
func (a *actor) taken(err error) bool {
	switch err {
	case nil:
		return true
	case session.ErrBufferFull, session.ErrClosed, session.ErrMailboxFull, session.ErrNotConnected:
	default:
		a.world.wrong("Send: %v", err)
	}
	a.sends--
	return false
}

// calm lets all that wait get on, until nobody has anything to do.
func (w *world) calm() {
	w.depth = 3
	for rounds := 0; ; rounds++ {
		busy := w.gathering > 0
		for ; w.gathering > 0; w.gathering-- {
			w.shared.Cork.Release()
		}
		for i := range w.errands {
			busy = busy || !w.errands[i].Empty()
			w.runErrands(i)
		}
		for _, a := range w.actors {
			a.makeRoom(1 << 20)
			busy = busy || a.due || !a.closed && (a.attend || a.dirty || a.marked)
			a.look()
			a.work()
			if a.marked && !a.closed {
				a.busily(a.close)
			}
		}
		if !busy {
			return
		}
		if rounds == 1000 {
			w.wrong("it goes on for ever")
			return
		}
	}
}

// item is a message as it came out of a session.
type item struct {
	kind               byte
	room, number, size int
}

// stream takes apart what the kernel took. The rest is a message that is not whole.
func (a *actor) stream() (items []item, rest []byte, err error) {
	head := 0
	if a.framed {
		head = 4
	}
	rest = a.took
	for len(rest) >= head+modelHeader {
		m := rest[head:]
		it := item{m[0], int(m[1]), int(binary.BigEndian.Uint32(m[4:])), int(binary.BigEndian.Uint16(m[2:]))}
		if a.framed && int(binary.BigEndian.Uint32(rest)) != modelHeader+it.size {
			return items, rest, fmt.Errorf("a frame with a length of %x, behind %v", rest[:12], items)
		}
		if len(m) < modelHeader+it.size {
			break
		}
		if want := body(it.kind, it.room, it.number, it.size); string(m[:len(want)]) != string(want) {
			return items, rest, fmt.Errorf("%+v is damaged, behind %v", it, items)
		}
		items = append(items, it)
		rest = m[modelHeader+it.size:]
	}
	return items, rest, nil
}

func (a *actor) has(kind byte, number int) bool {
	items, _, _ := a.stream() // an error is found at the end
	for _, it := range items {
		if it.kind == kind && it.number == number {
			return true
		}
	}
	return false
}

// check compares what came out with what was owed, when all is quiet.
func (a *actor) check() {
	w := a.world
	items, rest, err := a.stream()
	if err != nil {
		w.wrong("session %d: %v", a.session.ID(), err)
		return
	}
	if !a.closed && len(rest) > 0 {
		w.wrong("session %d ends in the middle of a message", a.session.ID())
	}
	own, echo := -1, -1
	next := make(map[string]int) // by group, and with Conflate by key: the least that may come
	got := make([]map[int]int, len(w.rooms))
	owns := make(map[int]int) // place among the items
	for at, it := range items {
		switch it.kind {
		case 'O':
			if it.number != own+1 {
				w.wrong("message %d behind %d", it.number, own)
			}
			own = it.number
			owns[own] = at
		case 'E':
			if it.number <= echo {
				w.wrong("echo %d behind %d", it.number, echo)
			}
			echo = it.number
		case 'G':
			room, order := w.rooms[it.room], string(rune(it.room))
			if room.config.Slow == session.Conflate {
				order += room.sent[it.number].key
			}
			if it.number < next[order] {
				w.wrong("message %d of group %d behind %d", it.number, it.room, next[order]-1)
			}
			next[order] = it.number + 1
			if got[it.room] == nil {
				got[it.room] = make(map[int]int)
			}
			got[it.room][it.number] = at
		default:
			w.wrong("session %d got %+v", a.session.ID(), it)
		}
	}
	if !a.closed && own != a.sends-1 {
		w.wrong("%d own messages came, %d were sent", own+1, a.sends)
	}
	for g, room := range w.rooms {
		last := -1 // where the last message of earlier stays is
		for _, st := range a.stays[g] {
			if snapshot, there := owns[st.order]; there && snapshot < last {
				w.wrong("a message of an earlier stay came behind the snapshot of the next")
			}
			last = max(last, a.checkStay(room, st, got[g], owns))
		}
		if len(got[g]) > 0 {
			w.wrong("session %d got %d messages of group %d that were not for it", a.session.ID(), len(got[g]), g)
		}
	}
}

// checkStay takes from got, which is where in the stream each message came, what is
// right, and returns where the last one was.
func (a *actor) checkStay(room *modelRoom, st stay, got, owns map[int]int) (last int) {
	last = -1
	w, until := a.world, st.until
	if until < 0 {
		until = len(room.sent)
	}
	gap := -1
	for number := st.from; number < until; number++ {
		m := room.sent[number]
		at, came := got[number]
		if came && m.except == a {
			continue // and is found to be left over
		}
		delete(got, number)
		if came {
			last = max(last, at)
		}
		snapshot, there := owns[st.order]
		switch {
		case came && st.order >= 0 && (!there || snapshot > at):
			w.wrong("message %d came before the snapshot", number)
		case m.except == a, m.expires != 0, room.config.Slow != session.CloseSlow:
		case came && gap >= 0:
			w.wrong("message %d did not come, but %d", gap, number)
		case !came:
			gap = number
		}
	}
	if gap >= 0 && st.until < 0 && !a.mute && a.session.State() == session.Open {
		w.wrong("session %d: message %d did not come", a.session.ID(), gap)
	}
	return last
}

// count counts what came of groups.
func (a *actor) count() {
	w := a.world
	items, rest, _ := a.stream() // errors were found before
	for _, it := range items {
		if it.kind == 'G' {
			w.taken++
		}
	}
	head := 0
	if a.framed {
		head = 4
	}
	switch {
	case len(rest) == 0:
	case len(rest) <= head:
		w.unclear++
	case rest[head] == 'G':
		w.taken++
	}
}
