package engine

import (
	"sync"
	"sync/atomic"

	"github.com/weirnet/weir/internal/transport"
)

// A mailbox is the only door into a loop from other goroutines. It takes conns
// that want to be looked at, each at most once, in a list that runs through the
// conns themselves and so is never full; errands of groups, likewise; and tasks, up to
// a bound.
//
// The loop says when it is about to sleep. Only then does a letter cost a
// wake-up, and only the first one.
type mailbox struct {
	conns   atomic.Pointer[conn] // newest first
	errands transport.Errands
	asleep  atomic.Bool
	wake    func() error

	mu     sync.Mutex
	tasks  []func()
	limit  int
	sealed bool

	ended atomic.Bool // no loop does errands any more
	late  sync.Mutex  // whoever does them then

	waiting atomic.Int32 // tasks, readable without the lock
	knocked atomic.Bool  // the loop is to look around, though there is no letter
}

// What conn.posted holds.
const (
	notPosted  uint32 = iota
	posted            // waits in the mailbox
	postedLast        // the same; its descriptor is closed and nobody uses it any more
)

// post adds c, unless it is waiting already.
func (m *mailbox) post(c *conn) {
	if c.posted.CompareAndSwap(notPosted, posted) {
		m.push(c)
	}
}

// postLast adds c for the last time. The loop may give it to another connection
// at once, so the caller must not touch it afterwards.
func (m *mailbox) postLast(c *conn) {
	if c.posted.Swap(postedLast) == notPosted {
		m.push(c)
	}
}

func (m *mailbox) push(c *conn) {
	for {
		head := m.conns.Load()
		c.next = head
		if m.conns.CompareAndSwap(head, c) {
			break
		}
	}
	m.rouse()
}

// leave adds an errand, unless it is waiting already. When the loop has ended the caller
// does it: nobody is there any more whom it is for, but it may hold memory.
func (m *mailbox) leave(x *transport.Errand) {
	switch {
	case !m.errands.Leave(x):
	case m.ended.Load():
		m.doErrands()
	default:
		m.rouse()
	}
}

// doErrands does what is waiting, unless somebody else is just doing so, who will not
// miss it. First called by the loop, when it ends, and from then on by whoever leaves one.
func (m *mailbox) doErrands() {
	m.ended.Store(true)
	for !m.errands.Empty() && m.late.TryLock() {
		m.errands.RunAll()
		m.late.Unlock()
	}
}

// postTask adds a task; false if the mailbox is full or sealed.
func (m *mailbox) postTask(task func()) bool {
	m.mu.Lock()
	if m.sealed || len(m.tasks) >= m.limit {
		m.mu.Unlock()
		return false
	}
	m.tasks = append(m.tasks, task)
	m.waiting.Store(int32(len(m.tasks)))
	m.mu.Unlock()
	m.rouse()
	return true
}

// knock has the loop take its mail, and look at what else may have changed: its
// orders, and whether it may end. It is remembered until then, since the loop may
// be past looking and not yet asleep.
func (m *mailbox) knock() {
	m.knocked.Store(true)
	m.rouse()
}

// answer forgets a knock. The loop looks around afterwards.
func (m *mailbox) answer() { m.knocked.Store(false) }

// rouse wakes the loop if it sleeps.
func (m *mailbox) rouse() {
	if m.asleep.Load() && m.asleep.CompareAndSwap(true, false) {
		_ = m.wake() // fails only when the poller is closed: the loop has ended
	}
}

// empty tells whether nothing waits.
func (m *mailbox) empty() bool {
	return m.conns.Load() == nil && m.errands.Empty() && m.waiting.Load() == 0 && !m.knocked.Load()
}

// sleep is called by the loop before it parks. It returns false, and the loop
// must not park, if something is waiting. Afterwards awake must be called.
func (m *mailbox) sleep() bool {
	m.asleep.Store(true)
	if m.empty() {
		return true
	}
	m.asleep.Store(false)
	return false
}

func (m *mailbox) awake() { m.asleep.Store(false) }

// takeConns returns the waiting conns in the order they came, linked by next.
func (m *mailbox) takeConns() *conn {
	var first *conn
	for c := m.conns.Swap(nil); c != nil; {
		older := c.next
		c.next = first
		first, c = c, older
	}
	return first
}

// takeTasks moves at most len(into) waiting tasks to into.
func (m *mailbox) takeTasks(into []func()) int {
	if m.waiting.Load() == 0 {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := copy(into, m.tasks)
	rest := copy(m.tasks, m.tasks[n:])
	clear(m.tasks[rest:])
	m.tasks = m.tasks[:rest]
	m.waiting.Store(int32(rest))
	return n
}

// seal refuses tasks from now on and returns those still waiting.
func (m *mailbox) seal() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.tasks
	m.tasks, m.sealed = nil, true
	m.waiting.Store(0)
	return rest
}
