package engine_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
)

// Servers in a cgroup that may use 64 MiB, and clients that make it use more: some that
// only are there, and some that send and never read.
const (
	ceilingBytes = 64 << 20
	ceilingCrowd = 12_000 // idle clients at most: twice what fits
	ceilingGreed = 200    // clients that never read
	ceilingFine  = 20     // clients that echo
)

// ceilingScene is such a server and its clients.
type ceilingScene struct {
	t      *testing.T
	group  *cgroup
	server *child
	addr   string

	quit  chan struct{} // closed when clients are to end
	once  sync.Once
	all   sync.WaitGroup
	trips atomic.Int64
	worst atomic.Int64

	mu   sync.Mutex
	idle []net.Conn
}

func newCeilingScene(t *testing.T, role ...string) *ceilingScene {
	t.Helper()
	if raceEnabled {
		t.Skip("NOT TESTED under the race detector: its own memory does not fit into the cgroup")
	}
	s := &ceilingScene{t: t, group: limitedCgroup(t, ceilingBytes), quit: make(chan struct{})}
	s.server = startChildUnder(t, s.group.tool(), append([]string{"memory"}, role...)...)
	s.addr = s.server.line(t)
	t.Cleanup(s.end)
	return s
}

// end has all clients leave.
func (s *ceilingScene) end() {
	s.once.Do(func() { close(s.quit) })
	s.leave()
	s.all.Wait()
}

// leave has the idle ones leave.
func (s *ceilingScene) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.idle {
		c.Close()
	}
	s.idle = nil
}

// stats asks the server; false if it is not there any more.
func (s *ceilingScene) stats() (st engine.Stats, ok bool) {
	if _, err := io.WriteString(s.server.stdin, "stats\n"); err != nil {
		return st, false
	}
	text, err := s.server.stdout.ReadString('\n')
	return st, err == nil && json.Unmarshal([]byte(text), &st) == nil
}

// until waits for the server to be as wanted.
func (s *ceilingScene) until(what string, holds func(engine.Stats) bool) (st engine.Stats) {
	s.t.Helper()
	until(s.t, what, func() bool {
		var ok bool
		if st, ok = s.stats(); !ok {
			s.t.Fatalf("%s: the server is gone, %d processes were killed for lack of memory", what, s.group.kills())
		}
		return holds(st)
	})
	return st
}

// ended tells whether the clients are to end.
func (s *ceilingScene) ended() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// healthy starts a client that echoes all the time.
func (s *ceilingScene) healthy() {
	c := dialTo(s.t, tcpAddr(s.t, s.addr))
	s.all.Go(func() {
		defer c.Close()
		for tick := time.NewTicker(10 * time.Millisecond); !s.ended(); <-tick.C {
			took, err := roundTrip(c)
			if err != nil && !s.ended() {
				s.t.Errorf("a healthy client: %v", err)
				return
			}
			s.trips.Add(1)
			for seen := s.worst.Load(); took > seen && !s.worst.CompareAndSwap(seen, took); seen = s.worst.Load() {
			}
		}
	})
}

// greedy connects a client that sends and never reads, from the moment that begin is
// closed. When it is closed it connects again.
func (s *ceilingScene) greedy(begin <-chan struct{}) {
	c := net.Conn(dialTo(s.t, tcpAddr(s.t, s.addr)))
	mustEcho(s.t, c, "x")
	s.all.Go(func() {
		select {
		case <-begin:
		case <-s.quit:
		}
		for piece := make([]byte, 64<<10); !s.ended(); {
			gone := make(chan struct{})
			go func() {
				select {
				case <-s.quit:
				case <-gone:
				}
				c.Close()
			}()
			for err := error(nil); err == nil; {
				_, err = c.Write(piece)
			}
			close(gone)
			next, err := net.DialTimeout("tcp", s.addr, patience)
			if err != nil {
				return // the server is gone
			}
			c = next
		}
		c.Close()
	})
}

// crowd connects idle clients until enough, and returns how many have been served. They
// leave when the server does not want them.
func (s *ceilingScene) crowd(enough func() bool) {
	var made atomic.Int64
	for range 8 {
		s.all.Go(func() {
			for made.Add(1) <= ceilingCrowd && !enough() {
				c, err := net.DialTimeout("tcp", s.addr, patience)
				if err != nil {
					return // the server is gone
				}
				s.mu.Lock()
				s.idle = append(s.idle, c)
				s.mu.Unlock()
				var one [1]byte
				if _, err := c.Write(one[:]); err != nil {
					return
				}
				if _, err := io.ReadFull(c, one[:]); err != nil {
					return
				}
				go func() {
					_, _ = c.Read(one[:]) // until its end
					c.Close()
				}()
			}
		})
	}
}

func tcpAddr(t *testing.T, text string) net.Addr {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", text)
	must(t, err)
	return addr
}

// TestFault47MemoryCeiling: a server in a cgroup that runs out of memory does what the
// ladder says, step by step, is not killed, serves its healthy clients all the while, and
// lets others in when there is room again.
func TestFault47MemoryCeiling(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Pool, engine.Inline} {
		t.Run(mode.String(), func(t *testing.T) { memoryCeiling(t, mode, "", ceilingBytes) })
	}
	t.Run("GOMEMLIMIT", func(t *testing.T) { memoryCeiling(t, engine.Pool, "56MiB", 56<<20) })
}

func memoryCeiling(t *testing.T, mode engine.Mode, runtimes string, limit int64) {
	t.Setenv("GOMEMLIMIT", runtimes)
	s := newCeilingScene(t, mode.String())
	for range ceilingFine {
		s.healthy()
	}
	flood := make(chan struct{})
	for range ceilingGreed {
		s.greedy(flood)
	}
	var full atomic.Bool
	s.crowd(full.Load)
	st := s.until("accepting stops", func(st engine.Stats) bool { return st.Memory.AcceptStops > 0 })
	full.Store(true)
	t.Logf("accepting stopped at %d sessions and %d of %d MiB", st.Sessions, st.Memory.Use>>20, st.Memory.Limit>>20)
	if st.Memory.Limit != limit {
		t.Errorf("the limit is %d bytes, want %d", st.Memory.Limit, limit)
	}
	if st.Memory.IdleDropped+st.Memory.FattestClosed > 0 {
		t.Errorf("%d idle and %d fat sessions ended before there was any need", st.Memory.IdleDropped, st.Memory.FattestClosed)
	}
	waits, err := net.DialTimeout("tcp", s.addr, patience) // the kernel completes it
	must(t, err)
	defer waits.Close()
	must(t, waits.SetDeadline(time.Now().Add(2*patience)))
	_, err = io.WriteString(waits, "let me in")
	must(t, err)

	trips := s.trips.Load()
	close(flood)
	st = s.until("idle sessions are dropped, and fat ones closed", func(st engine.Stats) bool {
		return st.Memory.IdleDropped > 0 && st.Memory.FattestClosed > 0
	})
	t.Logf("%d idle sessions were dropped and %d fat ones closed; reading stopped %d times, garbage was collected %d times",
		st.Memory.IdleDropped, st.Memory.FattestClosed, st.Memory.ReadStops, st.Memory.Collections)
	during := s.trips.Load() - trips

	s.end()
	mustRead(t, waits, "let me in")
	waits.Close()
	st = s.until("all is normal", func(st engine.Stats) bool { return st.Memory.Step == engine.MemoryNormal && st.Sessions == 0 })
	mustEcho(t, dialTo(t, tcpAddr(t, s.addr)), "so is the next one")
	t.Logf("healthy clients: %d echoes during the flood, the slowest of all %v; at most %d MiB used, %d MiB at the end",
		during, time.Duration(s.worst.Load()), s.group.peak()>>20, st.Memory.Use>>20)
	if during < ceilingFine {
		t.Errorf("%d echoes of %d healthy clients during the flood", during, ceilingFine)
	}
	if n := st.Closed["memory"]; n == 0 || n > st.Memory.IdleDropped+st.Memory.FattestClosed {
		t.Errorf("%d sessions are counted as closed for memory, %d were", n, st.Memory.IdleDropped+st.Memory.FattestClosed)
	}
	if n := s.group.kills(); n != 0 {
		t.Errorf("%d processes were killed for lack of memory", n)
	}
	must(t, s.server.stdin.Close())
	must(t, s.server.Wait())
	mustTellSteps(t, s.server.stderr.String())
}

// mustTellSteps wants each step in the log, and no line too often.
func mustTellSteps(t *testing.T, log string) {
	t.Helper()
	counts := map[string]int{}
	for text := range strings.Lines(log) {
		var line struct {
			Message, What string
			Time          time.Time
		}
		if json.Unmarshal([]byte(text), &line) != nil || line.Message != "memory" {
			continue
		}
		counts[line.What]++
		counts[fmt.Sprint(line.What, line.Time.Unix())]++
		if n := counts[fmt.Sprint(line.What, line.Time.Unix())]; n > 2 { // the logger's clock is read later
			t.Errorf("%d times in a second: %s", n, text)
		}
	}
	for _, what := range []string{
		"stop_accepting begins", "drop_idle begins", "drop_idle", "close_fattest begins", "close_fattest",
		"close_fattest ends", "drop_idle ends", "stop_accepting ends",
	} {
		if counts[what] == 0 {
			t.Errorf("the log does not tell of %q:\n%s", what, log)
		}
	}
}

// TestFault47WithoutTheLadder: the same clients end the same server where it does nothing
// about memory.
func TestFault47WithoutTheLadder(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	s := newCeilingScene(t, engine.Pool.String(), "0")
	s.crowd(func() bool { return false })
	var most engine.Stats
	until(t, "the server is killed", func() bool {
		st, ok := s.stats()
		if ok {
			most = st
		}
		return !ok
	})
	t.Logf("killed with %d sessions and more, and %d MiB of %d used", most.Sessions, s.group.peak()>>20, ceilingBytes>>20)
	if n := s.group.kills(); n != 1 {
		t.Errorf("%d processes were killed for lack of memory, want one", n)
	}
}
