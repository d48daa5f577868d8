package engine

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/weirnet/weir/internal/fuzz"
	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// FuzzSlots takes and gives places, and looks for sessions by old, present and made-up ids.
func FuzzSlots(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		stride := 1 + c.IntN(300)
		s := newTestSlots(c.IntN(stride), stride)
		ids := map[uint64]bool{} // that were given
		there := map[uint64]*session.Session{}
		var held []*conn
		for c.More() {
			switch what := c.IntN(10); {
			case what < 4:
				x := s.take()
				if x == nil || ids[x.id] || x.id < generation || int(x.id&placeMask)%stride != s.loop.index || x.session.Load() != nil {
					t.Fatalf("took %+v", x)
				}
				ids[x.id] = true
				held = append(held, x)
			case what < 6 && len(held) > 0:
				x := held[c.IntN(len(held))]
				if x.session.Load() == nil {
					there[x.id] = occupy(x)
				}
			case what < 8 && len(held) > 0:
				i := c.IntN(len(held))
				x := held[i]
				delete(there, x.id)
				x.session.Store(nil)
				s.give(x)
				held = slices.Delete(held, i, i+1)
			default:
				if id := c.Uint64(); s.session(id) != there[id] {
					t.Fatalf("id %x finds %v, want %v", id, s.session(id), there[id])
				}
			}
			for id := range ids {
				if s.session(id) != there[id] {
					t.Fatalf("id %x finds %v, want %v", id, s.session(id), there[id])
				}
			}
			n := 0
			s.each(func(x *session.Session) bool {
				if n++; there[x.ID()] != x {
					t.Fatalf("%x is there, and should not", x.ID())
				}
				return true
			})
			if n != len(there) {
				t.Fatalf("%d sessions are there, want %d", n, len(there))
			}
		}
	})
}

// FuzzMailbox has conns, errands and tasks come and be taken, in any order, and the loop
// go to sleep in between. Nothing is lost or comes twice; whoever finds the loop asleep
// wakes it, once.
func FuzzMailbox(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		x := &mailTrial{t: t}
		x.mail = &mailbox{limit: 1 + c.IntN(5), wake: func() error { x.wakes++; return nil }}
		for i := range x.all {
			x.all[i].Run = func() { x.ran = append(x.ran, i) }
		}
		for c.More() {
			x.step(c)
			if m := x.mail; m.empty() != (len(x.posted)+len(x.left)+len(x.tasks) == 0 && !x.knocked) {
				t.Fatalf("empty: %v, with %v, %v and %v waiting; knocked: %v", m.empty(), x.posted, x.left, x.tasks, x.knocked)
			}
		}
	})
}

// mailTrial is a mailbox, and what should be in it.
type mailTrial struct {
	t     *testing.T
	mail  *mailbox
	wakes int // so far

	conns  [5]conn
	all    [4]transport.Errand
	posted []int // conns
	last   [5]bool
	gone   [5]bool // was posted for the last time: nobody uses it any more
	left   []int   // errands
	tasks  []int
	number int // of the next task

	ran             []int
	asleep, knocked bool
	sealed          bool
}

func (x *mailTrial) step(c fuzz.Choices) {
	switch i := c.IntN(12); i {
	case 0, 1:
		x.post(c.IntN(len(x.conns)))
	case 2:
		x.postLast(c.IntN(len(x.conns)))
	case 3, 4:
		x.leave(c.IntN(len(x.all)))
	case 5, 6:
		x.task()
	case 7:
		x.comes(func() { x.mail.knock() }, true)
		x.knocked = true
	case 8:
		empty := len(x.posted)+len(x.left)+len(x.tasks) == 0 && !x.knocked
		if x.mail.sleep() != empty {
			x.t.Fatalf("sleeps: %v, empty: %v", !empty, empty)
		}
		x.asleep = empty
	case 9:
		x.mail.awake()
		x.asleep = false
	case 10:
		x.take(c)
	default:
		if c.IntN(8) == 0 {
			x.seal()
		}
	}
}

// comes does what brings a letter, which wakes the loop if it sleeps.
func (x *mailTrial) comes(bring func(), letter bool) {
	before := x.wakes
	if bring(); (x.wakes-before == 1) != (letter && x.asleep) || x.wakes-before > 1 {
		x.t.Fatalf("%d wake-ups; a letter: %v, asleep: %v", x.wakes-before, letter, x.asleep)
	}
	x.asleep = x.asleep && !letter
}

func (x *mailTrial) post(i int) {
	if x.gone[i] {
		return
	}
	is := !slices.Contains(x.posted, i)
	x.comes(func() { x.mail.post(&x.conns[i]) }, is)
	if is {
		x.posted = append(x.posted, i)
	}
}

func (x *mailTrial) postLast(i int) {
	if x.gone[i] {
		return
	}
	is := !slices.Contains(x.posted, i)
	x.comes(func() { x.mail.postLast(&x.conns[i]) }, is)
	if is {
		x.posted = append(x.posted, i)
	}
	x.last[i], x.gone[i] = true, true
}

func (x *mailTrial) leave(i int) {
	is := !slices.Contains(x.left, i)
	x.comes(func() { x.mail.leave(&x.all[i]) }, is)
	if is {
		x.left = append(x.left, i)
	}
}

func (x *mailTrial) task() {
	number := x.number
	x.number++
	is := !x.sealed && len(x.tasks) < x.mail.limit
	x.comes(func() {
		if x.mail.postTask(func() { x.ran = append(x.ran, number) }) != is {
			x.t.Fatalf("task %d behind %d of %d was taken: %v", number, len(x.tasks), x.mail.limit, !is)
		}
	}, is)
	if is {
		x.tasks = append(x.tasks, number)
	}
}

// take is the loop's look at its mail.
func (x *mailTrial) take(c fuzz.Choices) {
	x.mail.answer()
	x.knocked = false
	var got []int
	for at := x.mail.takeConns(); at != nil; {
		following := at.next
		for i := range x.conns {
			if at == &x.conns[i] {
				got = append(got, i)
				if was := at.posted.Swap(notPosted); (was == postedLast) != x.last[i] || was == notPosted {
					x.t.Fatalf("conn %d is posted as %d, for the last time: %v", i, was, x.last[i])
				}
				x.last[i], x.gone[i] = false, false // another connection may have it
			}
		}
		at.next = nil
		at = following
	}
	if !slices.Equal(got, x.posted) {
		x.t.Fatalf("conns %v come, want %v", got, x.posted)
	}
	x.posted = nil

	x.ran = nil
	if n := x.mail.errands.RunAll(); n != len(x.left) || !slices.Equal(x.ran, x.left) {
		x.t.Fatalf("errands %v ran, want %v", x.ran, x.left)
	}
	x.left = nil

	into := make([]func(), 1+c.IntN(4))
	n := x.mail.takeTasks(into)
	x.run(into[:n], min(len(into), len(x.tasks)))
}

// run runs tasks, which must be the first n.
func (x *mailTrial) run(tasks []func(), n int) {
	x.ran = nil
	for _, task := range tasks {
		task()
	}
	if !slices.Equal(x.ran, x.tasks[:n]) {
		x.t.Fatalf("tasks %v come, want %v", x.ran, x.tasks[:n])
	}
	x.tasks = x.tasks[n:]
}

func (x *mailTrial) seal() {
	x.run(x.mail.seal(), len(x.tasks))
	x.sealed = true
}

// FuzzAdmission has sessions of few addresses come and go: never are there more than the
// limits allow, and nobody is refused while there are fewer.
func FuzzAdmission(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		a := &admission{limits: entryLimits{sessions: c.IntN(6), perAddress: c.IntN(4)}}
		peers := []netip.Addr{
			{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
			netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2:1%eth0"), netip.MustParseAddr("2001:db8:0:1::1"),
		}
		network := []int{-1, 0, 0, 1, 2, 2, 3} // by peer; -1: none
		var inside []int                       // peers
		for c.More() {
			if i := c.IntN(len(peers)); c.IntN(2) == 0 {
				there := 0
				for _, other := range inside {
					if network[other] == network[i] {
						there++
					}
				}
				full := a.limits.sessions > 0 && len(inside) >= a.limits.sessions
				crowded := a.limits.perAddress > 0 && network[i] >= 0 && there >= a.limits.perAddress
				if err := a.enter(peers[i]); (err != nil) != (full || crowded) {
					t.Fatalf("%v with %d inside, %d of them of its network, limits %+v: %v", peers[i], len(inside), there, a.limits, err)
				} else if err == nil {
					inside = append(inside, i)
				}
			} else if len(inside) > 0 {
				at := c.IntN(len(inside))
				a.leave(peers[inside[at]])
				inside = slices.Delete(inside, at, at+1)
			}
			if len(inside) == 0 && (len(a.from) > 0 || a.inside.Load() != 0) {
				t.Fatalf("nobody is inside, and %d and %v are remembered", a.inside.Load(), a.from)
			}
		}
	})
}
