package session_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirnet/weir/internal/transport"
	"github.com/weirnet/weir/session"
)

// Groups with real goroutines: loops, publishers, handlers that gather, and members who
// come and go.

// crowd is a hall whose loops are goroutines.
type crowd struct {
	*hall
	wakes []chan struct{}
	posts []chan *runner // of each loop
	stop  chan struct{}
	loops sync.WaitGroup
}

// runner is a session of a crowd. Its kernel takes a random part of each write.
type runner struct {
	wakingLink
	crowd   *crowd
	loop    int
	session *session.Session
	driver  session.Driver
	posted  atomic.Bool
	n       atomic.Int64
}

func newCrowd(t *testing.T, config session.GroupConfig, loops int) *crowd {
	c := &crowd{hall: newHall(t, config, loops), stop: make(chan struct{})}
	leave := c.shared.Leave
	for range loops {
		c.wakes = append(c.wakes, make(chan struct{}, 1))
		c.posts = append(c.posts, make(chan *runner, 1000))
	}
	c.shared.Leave = func(loop int, x *transport.Errand) {
		leave(loop, x)
		c.wake(loop)
	}
	c.shared.Cap = 4 << 20
	for loop := range loops {
		c.loops.Go(func() { c.run(loop) })
	}
	return c
}

func (c *crowd) wake(loop int) {
	select {
	case c.wakes[loop] <- struct{}{}:
	default:
	}
}

func (c *crowd) run(loop int) {
	for {
		select {
		case <-c.wakes[loop]:
			c.errands[loop].RunAll()
		case r := <-c.posts[loop]:
			r.posted.Store(false)
			r.look()
		case <-c.stop:
			for c.errands[loop].RunAll() > 0 {
			}
			return
		}
	}
}

func (c *crowd) end() {
	close(c.stop)
	c.loops.Wait()
}

func (c *crowd) enter(id uint64, seed uint64) *runner {
	r := &runner{crowd: c, loop: c.shared.LoopOf(id)}
	r.fakeLink = &fakeLink{shared: c.shared, refs: 1}
	r.random = rand.New(rand.NewPCG(seed, id))
	r.session = session.New(id, r, testPeer, time.Unix(0, 0), session.NewBehaviour(&parts{}))
	r.driver = session.Drive(r.session, transport.Key{})
	r.driver.Open()
	return r
}

func (r *runner) Attend() {
	if !r.posted.Swap(true) {
		r.crowd.posts[r.loop] <- r
	}
}

func (r *runner) Send(p []byte) (int, syscall.Errno) { return r.Sendv([][]byte{p}) }

func (r *runner) Sendv(views [][]byte) (int, syscall.Errno) {
	n, errno := r.wakingLink.Sendv(views)
	r.n.Add(int64(n))
	return n, errno
}

func (r *runner) look() {
	for st := r.driver.Status(); st&(transport.Blocked|transport.Pending) != 0; {
		st = r.driver.Writable()
	}
}

// Members who stay get everything in order; those who come and go, everything between.
func TestGroupHammer(t *testing.T) {
	publishers, messages, stays := 4, 3000, 200
	if testing.Short() || checkingBuild {
		messages, stays = 600, 40
	}
	const loops, staying, roaming = 2, 6, 4
	c := newCrowd(t, session.GroupConfig{QueueBytes: 1 << 30}, loops)
	g := c.groups.Group("g")
	var stayers, roamers []*runner
	for i := range staying + roaming {
		r := c.enter(uint64(i), 7)
		if i < staying {
			must(t, g.Join(r.session))
			stayers = append(stayers, r)
		} else {
			roamers = append(roamers, r)
		}
	}
	var all, gatherers sync.WaitGroup
	var stop atomic.Bool
	for range 2 {
		gatherers.Go(func() {
			for !stop.Load() {
				c.shared.Cork.Gather()
				runtime.Gosched()
				c.shared.Cork.Release()
			}
		})
	}
	for p := range publishers {
		all.Go(func() {
			for n := range messages {
				for g.Send(numbered(p, n, n%100)) != nil {
					runtime.Gosched() // loops are behind
				}
			}
		})
	}
	for _, r := range roamers {
		all.Go(func() {
			for range stays {
				wantError(t, "Join", g.Join(r.session), nil)
				runtime.Gosched()
				wantError(t, "Leave", g.Leave(r.session), nil)
			}
		})
	}
	all.Wait()
	total := 0
	for p := range publishers {
		for n := range messages {
			total += len(numbered(p, n, n%100))
		}
	}
	for _, r := range stayers {
		for began := time.Now(); r.n.Load() < int64(total); runtime.Gosched() {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%d bytes of %d came", r.n.Load(), total)
			}
		}
	}
	stop.Store(true)
	gatherers.Wait()
	c.end()
	for _, r := range roamers {
		r.look() // the rest of what has begun
	}
	for _, r := range stayers {
		if err := checkNumbered(r.took, publishers, messages); err != nil {
			t.Error(err)
		}
	}
	for _, r := range roamers {
		if err := checkRising(r.took, publishers); err != nil {
			t.Error(err)
		}
	}
	for _, r := range append(stayers, roamers...) {
		r.driver.Close()
		r.Release()
	}
	for loop := range c.errands {
		c.errands[loop].RunAll()
	}
	st := statsOf(c.hall)
	if owed := st.Delivered + st.Unsent; st.Dropped+st.Expired != 0 || owed < uint64(staying*publishers*messages) {
		t.Errorf("counted %+v", st)
	}
}

// checkRising wants whole messages whose numbers rise for each sender.
func checkRising(stream []byte, senders int) error {
	next := make([]int, senders)
	for at := 0; at < len(stream); {
		if len(stream)-at < headerBytes {
			return fmt.Errorf("%d bytes left over", len(stream)-at)
		}
		sender := int(binary.BigEndian.Uint16(stream[at:]))
		number := int(binary.BigEndian.Uint16(stream[at+2:]))
		if sender >= senders || number < next[sender] {
			return fmt.Errorf("at %d: message %d of sender %d, after %v", at, number, sender, next)
		}
		next[sender] = number + 1
		at += headerBytes + int(binary.BigEndian.Uint32(stream[at+4:]))
	}
	return nil
}

// Each message arrives without another one behind it: no hand-over is lost, whoever
// gathers, ends, or begins at the same moment.
func TestPublishThenWait(t *testing.T) {
	rounds := 5000
	if testing.Short() || checkingBuild {
		rounds = 1000
	}
	c := newCrowd(t, session.GroupConfig{}, 2)
	var stop atomic.Bool
	var gatherers, all sync.WaitGroup
	gatherers.Go(func() {
		for !stop.Load() {
			c.shared.Cork.Gather()
			runtime.Gosched()
			c.shared.Cork.Release()
		}
	})
	var members []*runner
	for p := range 3 {
		g := c.groups.Group(fmt.Sprint("group ", p))
		var mine []*runner
		for i := range 2 {
			r := c.enter(uint64(2*p+i), 9)
			must(t, g.Join(r.session))
			mine = append(mine, r)
		}
		members = append(members, mine...)
		all.Go(func() {
			for n := range int64(rounds) {
				wantError(t, "Send", g.Send([]byte{1}), nil)
				for _, r := range mine {
					for began := time.Now(); r.n.Load() != n+1; runtime.Gosched() {
						if time.Since(began) > 30*time.Second {
							t.Errorf("message %d did not come", n)
							return
						}
					}
				}
			}
		})
	}
	all.Wait()
	stop.Store(true)
	gatherers.Wait()
	c.end()
	for _, r := range members {
		r.driver.Close()
		r.Release()
	}
}
