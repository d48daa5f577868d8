package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirnet/weir/internal/transport"
)

// newTestMailbox returns a mailbox, and a channel that holds the wake-ups.
func newTestMailbox(limit int) (*mailbox, chan struct{}) {
	wakes := make(chan struct{}, 1<<20)
	return &mailbox{limit: limit, wake: func() error { wakes <- struct{}{}; return nil }}, wakes
}

// From several goroutines at once, each conn's last post is seen after it was
// made, and most posts cost no wake-up.
func TestMailboxLosesNoPost(t *testing.T) {
	const senders, conns = 8, 64
	posts := 1_000_000
	if testing.Short() {
		posts = 100_000
	}
	m, wakes := newTestMailbox(0)
	all := make([]conn, conns)
	var written, seen [conns]atomic.Int64 // a number that goes up before each post
	index := map[*conn]int{}
	for i := range all {
		index[&all[i]] = i
	}

	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for i := range posts / senders {
				at := (i*senders + sender) % conns
				written[at].Add(1)
				m.post(&all[at])
				if i%100 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done); m.knock() }()

	knocks := 0
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		if !ended && m.sleep() {
			<-wakes
			knocks++
		}
		m.awake()
		m.answer()
		for c := m.takeConns(); c != nil; {
			following := c.next
			c.next = nil
			c.posted.Store(notPosted)
			seen[index[c]].Store(written[index[c]].Load())
			c = following
		}
	}
	total := int64(0)
	for i := range written {
		total += written[i].Load()
		if seen[i].Load() != written[i].Load() {
			t.Errorf("conn %d: %d posts, the last one seen is %d", i, written[i].Load(), seen[i].Load())
		}
	}
	if total != int64(posts/senders*senders) {
		t.Errorf("%d posts, want %d", total, posts)
	}
	if knocks >= posts {
		t.Errorf("%d wake-ups for %d posts", knocks, posts)
	}
	t.Logf("%d wake-ups for %d posts", knocks, posts)
}

func TestMailboxKeepsOrder(t *testing.T) {
	m, _ := newTestMailbox(10)
	all := make([]conn, 5)
	for i := range all {
		m.post(&all[i])
		m.post(&all[0]) // it waits already
	}
	c := m.takeConns()
	for i := range all {
		if c != &all[i] {
			t.Fatalf("conn %d did not come in its turn", i)
		}
		c = c.next
	}
	if c != nil || !m.empty() {
		t.Error("more than was posted")
	}
	var got []int
	for i := range 10 {
		if !m.postTask(func() { got = append(got, i) }) {
			t.Fatalf("task %d was refused", i)
		}
	}
	into := make([]func(), 3)
	for n := m.takeTasks(into); n > 0; n = m.takeTasks(into) {
		for _, task := range into[:n] {
			task()
		}
	}
	for i := range 10 {
		if i >= len(got) || got[i] != i {
			t.Fatalf("tasks ran in the order %v", got)
		}
	}
}

func TestMailboxIsBounded(t *testing.T) {
	m, _ := newTestMailbox(2)
	task := func() {}
	for i, want := range []bool{true, true, false} {
		if m.postTask(task) != want {
			t.Fatalf("task %d was taken: %v", i, !want)
		}
	}
	m.takeTasks(make([]func(), 1))
	for i, want := range []bool{true, false} {
		if m.postTask(task) != want {
			t.Errorf("after one has left, task %d was taken: %v", i, !want)
		}
	}
}

func TestSealedMailbox(t *testing.T) {
	m, _ := newTestMailbox(2)
	ran := 0
	m.postTask(func() { ran++ })
	for _, task := range m.seal() {
		task()
	}
	if m.postTask(func() { ran++ }) || ran != 1 || !m.empty() || m.takeTasks(make([]func(), 1)) != 0 {
		t.Errorf("a sealed mailbox takes tasks, or lost one: %d ran", ran)
	}
	if len(m.seal()) != 0 {
		t.Error("sealed twice, and something came out twice")
	}
}

// Only a sleeping loop is woken, and only once.
func TestMailboxWakesOnlyTheSleeping(t *testing.T) {
	m, wakes := newTestMailbox(10)
	var a, b conn
	m.post(&a)
	if len(wakes) != 0 {
		t.Error("woken while awake")
	}
	if m.sleep() {
		t.Error("sleeps with a letter waiting")
	}
	m.takeConns()
	if !m.sleep() {
		t.Fatal("does not sleep though nothing waits")
	}
	m.post(&b)
	m.postTask(func() {})
	m.knock()
	if len(wakes) != 1 {
		t.Errorf("woken %d times, want once", len(wakes))
	}
}

// A knock is not lost when it comes while the loop is awake.
func TestKnockIsRemembered(t *testing.T) {
	m, wakes := newTestMailbox(10)
	m.knock()
	if m.empty() || m.sleep() || len(wakes) != 0 {
		t.Error("the knock was not remembered")
	}
	m.answer()
	if !m.empty() {
		t.Error("the knock was remembered for too long")
	}
}

// The last post of a conn is told from others, also when it waits already.
func TestPostLast(t *testing.T) {
	m, _ := newTestMailbox(0)
	var waiting, alone conn
	m.post(&waiting)
	m.postLast(&waiting)
	m.postLast(&alone)
	n := 0
	for c := m.takeConns(); c != nil; c = c.next {
		n++
		if got := c.posted.Swap(notPosted); got != postedLast {
			t.Errorf("conn %d is posted as %d", n, got)
		}
	}
	if n != 2 {
		t.Errorf("%d conns waited, want 2", n)
	}
}

func BenchmarkMailboxPost(b *testing.B) {
	m, _ := newTestMailbox(0)
	var c conn
	for b.Loop() {
		m.post(&c)
		m.takeConns()
		c.posted.Store(notPosted)
	}
}

// Errands wake a loop that sleeps, once.
func TestErrandsWakeTheLoop(t *testing.T) {
	m, wakes := newTestMailbox(0)
	ran := 0
	x := transport.Errand{Run: func() { ran++ }}
	m.leave(&x)
	if len(wakes) != 0 || m.empty() || m.sleep() {
		t.Error("a loop that is awake is woken, or one with an errand sleeps")
	}
	if m.errands.RunAll(); !m.sleep() {
		t.Error("the loop may not sleep")
	}
	m.leave(&x)
	m.leave(&x)
	if len(wakes) != 1 {
		t.Errorf("%d wake-ups, want 1", len(wakes))
	}
	if m.errands.RunAll(); ran != 2 {
		t.Errorf("ran %d times, want 2", ran)
	}
}

// What is left with a loop that ends, or has ended, is done by whoever leaves it: one at a
// time, and never left lying. An errand may leave another one, or itself.
func TestErrandsAfterTheEnd(t *testing.T) {
	for range 200 {
		m, _ := newTestMailbox(0)
		var working atomic.Int32
		var written, seen [4]atomic.Int64
		var all [4]transport.Errand
		for i := range all {
			all[i].Run = func() {
				if working.Add(1) != 1 {
					t.Error("two errands at a time")
				}
				if n := written[i].Load(); seen[i].Swap(n) != n {
					m.leave(&all[(i+1)%len(all)])
					m.leave(&all[i])
				}
				working.Add(-1)
			}
		}
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				for range 20 {
					written[i].Add(1)
					m.leave(&all[i])
				}
			})
		}
		wg.Go(m.doErrands)
		wg.Wait()
		for i := range all {
			if !m.errands.Empty() || seen[i].Load() != written[i].Load() {
				t.Fatalf("errand %d saw %d of %d", i, seen[i].Load(), written[i].Load())
			}
		}
	}
}
