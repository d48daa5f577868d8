//go:build linux

package main

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Rows 1, 2, 3, 6 and 23: what happens on a connection's way into the server.

// descriptorsMax is the server's limit in row 1.
const descriptorsMax = 64

func fewDescriptors(*scene, bool) ([]string, error) {
	return []string{"prlimit", fmt.Sprintf("--nofile=%d:%d", descriptorsMax, descriptorsMax)}, nil
}

func exhaustDescriptors(s *scene) {
	const conns = 150
	hold := pick(s.options, 2*time.Second, time.Second)
	var held []net.Conn
	for range conns {
		c, err := net.DialTimeout("tcp4", s.hello.Address, dialPatience)
		if err != nil {
			break // the queue of the listener is full
		}
		held = append(held, c)
	}
	most := 0
	used := processorTimeOf(s.hello.PID)
	for until := time.Now().Add(hold); time.Now().Before(until); time.Sleep(settleStep) {
		most = max(most, descriptorsOf(s.hello.PID))
	}
	used = processorTimeOf(s.hello.PID) - used
	s.see("%d descriptors at most, %v of processor time in %v", most, used, hold)
	s.require(most >= descriptorsMax || s.server.log.count("too many open files") > 0,
		"%d descriptors at most: the limit of %d was not reached", most, descriptorsMax)
	s.require(used < hold/2, "%v of processor time in %v: it spins", used, hold)
	for _, c := range held {
		reset(c.(*net.TCPConn))
	}
	free := time.Now()
	for {
		err := echoes(s.hello.Address, settleStep)
		if took := time.Since(free); err == nil {
			s.see("served again after %v", round(took))
			s.require(took < time.Second, "served again after %v", round(took))
			break
		} else if took > settleMax || !s.server.alive() {
			s.fail("not served again: %v", err)
			break
		}
	}
	if s.kind.weir {
		pauses := s.state().counter("AcceptPauses")
		s.see("%d pauses", pauses)
		s.require(pauses > 0, "no pause was counted")
	}
}

var acceptCalls = []string{"accept4", "accept"}

func wrapAccept(errno string) func(*scene, bool) ([]string, error) {
	return func(s *scene, _ bool) (_ []string, err error) {
		if s.trace, err = newStrace(s.dir, acceptCalls, "error="+errno+":when=3+4"); err != nil {
			return nil, err
		}
		return s.trace.tool, nil
	}
}

// acceptFails connects one after the other, so that accept is called often.
func acceptFails(errno string) func(*scene) {
	return func(s *scene) {
		const conns = 50
		served, slowest := 0, time.Duration(0)
		for range conns {
			began := time.Now()
			if echoes(s.hello.Address, dialPatience) == nil {
				served++
			}
			slowest = max(slowest, time.Since(began))
			if served == 0 && slowest > dialPatience/2 {
				break // it serves nobody any more
			}
		}
		injected := s.injected(errno)
		s.see("%d errors, %d of %d connections served, the slowest after %v", injected, served, conns, round(slowest))
		s.require(injected > 0, "nothing was injected")
		s.require(served == conns, "%d of %d connections were served", served, conns)
		if s.kind.weir {
			st := s.state()
			s.require(st.counter("AcceptErrors") > 0, "no error was counted")
			pauses := st.counter("AcceptPauses")
			s.require((pauses > 0) == (s.fault.row == 2), "%d pauses were counted", pauses)
		}
	}
}

// injected counts what strace has made fail since the scene's fault began.
func (s *scene) injected(errno string) int {
	calls, err := s.trace.read()
	if err != nil {
		s.fail("strace: %v", err)
	}
	return injectedSince(calls, errno, s.began)
}

// failingRegistration lets each thread register enough for the healthy clients.
func failingRegistration(errno string) func(*scene, bool) ([]string, error) {
	return func(s *scene, _ bool) (_ []string, err error) {
		if s.trace, err = newStrace(s.dir, []string{"epoll_ctl"}, "error="+errno+":when=60+4"); err != nil {
			return nil, err
		}
		return s.trace.tool, nil
	}
}

func registrationFails(errno string) func(*scene) {
	return func(s *scene) {
		const conns = 300
		var served, refused, hung int
		for range conns {
			c, err := dial(s.hello.Address, settleStep)
			if err != nil {
				refused++
				continue
			}
			if err = echo(c, "hello"); err == nil {
				served++
			} else if failed, ok := err.(net.Error); ok && failed.Timeout() {
				hung++
			} else {
				refused++
			}
			reset(c)
			if hung > 10 && served == 0 {
				break // it serves nobody any more
			}
		}
		injected := s.injected(errno)
		s.see("%d errors, of %d connections %d served, %d refused, %d left hanging", injected, conns, served, refused, hung)
		s.require(injected > 0, "nothing was injected")
		s.require(hung == 0, "%d connections were neither served nor refused", hung)
		s.require(served >= conns-injected, "%d of %d connections were served, with %d errors", served, conns, injected)
	}
}

func connectsAndResets(s *scene) {
	const clients = 4
	conns := pick(s.options, 10_000, 1000)
	before := s.acceptTime()
	var failed atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range conns / clients {
				c, err := dial(s.hello.Address, dialPatience)
				if err != nil {
					failed.Add(1)
					continue
				}
				reset(c)
			}
		})
	}
	all.Wait()
	after := s.acceptTime()
	s.see("connect and echo took %v before, %v after; %d of %d connects failed", round(before), round(after), failed.Load(), conns)
	s.require(after < 3*before+10*time.Millisecond, "connect and echo take %v, %v before", round(after), round(before))
	if s.kind.weir {
		st := s.await(func(st state) bool { return st.counter("Sessions") <= s.fault.healthy })
		s.require(st.counter("Sessions") <= s.fault.healthy, "%d sessions are left", st.counter("Sessions"))
		s.require(st.Opened-st.Closed == int64(st.counter("Sessions")), "%d opened, %d closed", st.Opened, st.Closed)
	}
}

// acceptTime is how long a connect with an echo takes, on average.
func (s *scene) acceptTime() time.Duration {
	const n = 100
	began := time.Now()
	for range n {
		if err := echoes(s.hello.Address, dialPatience); err != nil {
			s.fail("a connection was not served: %v", err)
			break
		}
	}
	return time.Since(began) / n
}
