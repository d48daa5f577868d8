//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Row 47: clients need more memory than the server may use. First come clients that only
// are there, until the server lets no more in; then those that are there already and
// never read begin to send.

const (
	memoryBytes  = 64 << 20 // what the server may use
	memoryKept   = 8 << 10  // of that for each connection, by the server's user
	memoryGreedy = 200      // clients that never read
	memoryFew    = 1000     // idle clients that every server has room for
	memoryLeft   = time.Second

	// What healthy clients may feel of it: the others keep all processors busy.
	memoryP99   = 500 * time.Millisecond
	memoryWorst = 2 * time.Second
)

// perConnection is how much a server's user keeps for each connection, in bytes. It is
// set before the server listens.
var perConnection int

// keep is what is kept for a connection. Each byte is written to: otherwise the kernel
// would not count it.
func keep() []byte {
	kept := make([]byte, perConnection)
	for i := range kept {
		kept[i] = 1
	}
	return kept
}

// fillsMemory has more idle clients come than fit.
func fillsMemory(s *scene) { s.fillMemory(pick(s.options, 8000, 6000)) }

// floodsMemory has few of them: the memory is for those that never read.
func floodsMemory(s *scene) { s.fillMemory(memoryFew) }

func (s *scene) fillMemory(idle int) {
	s.limit, s.worst = s.allow(memoryP99), s.allow(memoryWorst)
	c := &crowd{address: s.hello.Address, quit: make(chan struct{})}
	defer c.leave()
	begin := make(chan struct{})
	for range memoryGreedy {
		if err := c.addGreedy(begin); err != nil {
			s.fail("%v", err)
			return
		}
	}
	served, waits := c.fill(idle)
	s.see("%d idle clients were let in, %d had to wait", served, waits)
	flood := pick(s.options, 6*time.Second, 4*time.Second)
	began := time.Now()
	close(begin)
	for s.server.alive() && (time.Since(began) < flood || s.stepsToCome(idle > memoryFew) && time.Since(began) < 4*flood) {
		time.Sleep(settleStep)
	}
	st := s.state()
	c.leave()
	kills := s.group.kills()
	s.see("at most %d of %d MiB used", s.group.peak()>>20, memoryBytes>>20)
	s.require(kills == 0, "killed for lack of memory with %d clients and more", served+memoryGreedy)
	if !s.server.alive() {
		return
	}
	if s.kind.weir {
		s.checkSteps(st, idle > memoryFew)
	}
	free := time.Now()
	ok := s.until(settleMax, func() bool { return echoes(s.hello.Address, memoryLeft) == nil })
	s.see("a new connection was served %v after they had left", round(time.Since(free)))
	s.require(ok, "no new connection is served")
}

// stepsToCome tells whether there are steps of weir's ladder that must be seen and have not
// been. How soon they come is the garbage collector's affair.
func (s *scene) stepsToCome(many bool) bool {
	if !s.kind.weir {
		return false
	}
	st := s.state()
	return st.counter("Memory", "AcceptStops") == 0 || many && (st.counter("Memory", "IdleDropped") == 0 || st.counter("Memory", "FattestClosed") == 0)
}

// checkSteps wants each step of weir's ladder in its counters and its log. Where the idle
// clients are few none may be dropped, and it may be enough not to accept any more.
func (s *scene) checkSteps(st state, many bool) {
	stops, idle, fat := st.counter("Memory", "AcceptStops"), st.counter("Memory", "IdleDropped"), st.counter("Memory", "FattestClosed")
	s.see("accepting stopped %d times, %d idle connections dropped, %d fat ones closed; reading stopped %d times, garbage collected %d times",
		stops, idle, fat, st.counter("Memory", "ReadStops"), st.counter("Memory", "Collections"))
	s.require(stops > 0 && (idle > 0) == many && (fat > 0 || !many), "not the steps that there should be: accepting stopped %d times, %d idle and %d fat connections closed", stops, idle, fat)
	steps := []string{"stop_accepting begins"}
	if many {
		steps = append(steps, "drop_idle begins", "close_fattest begins")
	}
	for _, what := range steps {
		s.require(s.server.log.count(what) > 0, "%q was not logged", what)
	}
	normal := s.await(func(st state) bool { return st.counter("Memory", "Step") == 0 })
	s.require(normal.counter("Memory", "Step") == 0, "still at step %d when the clients have left", normal.counter("Memory", "Step"))
	closed := normal.counter("Closed", "memory")
	s.require(closed > 0 || idle+fat == 0, "no connection is counted as closed for memory")
}

// crowd is many clients of the row.
type crowd struct {
	address string
	quit    chan struct{}
	once    sync.Once
	all     sync.WaitGroup

	mu    sync.Mutex
	conns []*net.TCPConn
	left  bool
}

// leave ends all of them, and waits.
func (c *crowd) leave() {
	c.once.Do(func() { close(c.quit) })
	c.mu.Lock()
	c.left = true
	for _, conn := range c.conns {
		reset(conn)
	}
	c.conns = nil
	c.mu.Unlock()
	c.all.Wait()
}

// add has conn end with the others.
func (c *crowd) add(conn *net.TCPConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		reset(conn)
		return
	}
	c.conns = append(c.conns, conn)
}

// addGreedy connects one that sends and never reads, once begin is closed. When it loses
// its connection it makes another.
func (c *crowd) addGreedy(begin <-chan struct{}) error {
	conn, err := dialEcho(c.address)
	if err != nil {
		return err
	}
	c.add(conn)
	c.all.Go(func() {
		select {
		case <-begin:
		case <-c.quit:
			return
		}
		for piece := letters(1, 64<<10); ; {
			_ = conn.SetDeadline(time.Time{}) // it fails if the connection is gone
			for err := error(nil); err == nil; {
				_, err = conn.Write(piece)
			}
			select {
			case <-c.quit:
				return
			case <-time.After(settleStep / 10):
			}
			if next, err := dial(c.address, dialPatience); err == nil {
				conn.Close()
				conn = next
				c.add(conn)
			}
		}
	})
	return nil
}

// fill connects idle clients, at most so many, until one is not served, and returns how
// many were and were not. They leave when the server does not want them any more.
func (c *crowd) fill(most int) (served, waits int64) {
	const dialers = 8
	var made, in, out atomic.Int64
	var all sync.WaitGroup
	for range dialers {
		all.Go(func() {
			for made.Add(1) <= int64(most) && out.Load() == 0 {
				conn, err := dial(c.address, memoryLeft)
				if err == nil {
					c.add(conn)
					err = echo(conn, "I am here")
				}
				if err != nil {
					out.Add(1)
					return
				}
				in.Add(1)
				_ = conn.SetDeadline(time.Time{}) // it fails if the connection is gone
				c.all.Go(func() {
					_, _ = io.Copy(io.Discard, conn) // until its end, however it comes
					conn.Close()
				})
			}
		})
	}
	all.Wait()
	return in.Load(), out.Load()
}

// memoryHow is how row 47 is injected.
func memoryHow(idle string) string {
	return fmt.Sprintf("a cgroup of %d MiB; %d KiB are kept for each connection; %s idle clients, then %d send and never read",
		memoryBytes>>20, memoryKept>>10, idle, memoryGreedy)
}
