//go:build linux

package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// Rows 8, 9, 10, 57 and 58: what handlers do.

// unfelt is how long a healthy client may wait for any message while a handler panics
// or sleeps.
const unfelt = 100 * time.Millisecond

func panics(s *scene) {
	s.worst = s.allow(unfelt)
	const handlers = 10
	apart := pick(s.options, 200*time.Millisecond, 50*time.Millisecond)
	closed := 0
	for i := range handlers {
		if s.provoke(fmt.Sprint("boom ", i)) {
			closed++
		}
		time.Sleep(apart)
	}
	lines := s.server.log.count(`"message":"panic"`)
	s.see("%d of %d connections were closed", closed, handlers)
	s.require(closed == handlers, "%d of %d connections were closed", closed, handlers)
	if !s.kind.weir {
		return
	}
	counted := s.await(func(st state) bool { return st.counter("Closed", "handler_panic") >= handlers }).
		counter("Closed", "handler_panic")
	s.see("%d counted as handler_panic, %d lines logged", counted, lines)
	s.require(counted == handlers, "%d counted as handler_panic", counted)
	if s.fault.row == 8 {
		s.require(lines > 0 && strings.Contains(s.server.log.text(), "command.go"), "no stack was logged")
	}
}

// provoke has a handler panic with text, and tells whether the connection was
// closed.
func (s *scene) provoke(text string) bool {
	c, err := dial(s.hello.Address, dialPatience)
	if err != nil {
		return false
	}
	defer reset(c)
	if _, err := fmt.Fprintf(c, "%cpanic %s", commandMark, text); err != nil {
		return false
	}
	_, err = ended(c)
	return err == nil
}

// stuckAfter is from when on weir's watchdog reports a handler.
const stuckAfter = 100 * time.Millisecond

func blocks(s *scene) {
	s.worst = s.allow(unfelt)
	long := pick(s.options, 3*time.Second, time.Second)
	s.occupy(1, "sleep", long)
	if s.kind.weir {
		counted := s.named(1, long)
		s.require(counted == 1, "the watchdog counted %d handlers, one is stuck", counted)
		text := s.server.log.text()
		s.require(strings.Contains(text, "command.go"), "the watchdog did not log the handler's stack")
	}
}

// named wants the watchdog to have counted n handlers or more, and to have logged the
// first. It returns how many.
func (s *scene) named(n int, long time.Duration) (counted int) {
	const event = `"message":"blocked_handler"`
	stuck, lines := s.state().counter("BlockedHandlers"), s.server.log.count(event)
	s.see("the watchdog counted %d and logged %d", stuck, lines)
	s.require(stuck >= n && lines >= 1 && lines <= stuck, "the watchdog counted %d and logged %d, for %d times %v beyond %v", stuck, lines, n, long, stuckAfter)
	return stuck
}

// asBadAsNone is what nobody is blamed for while all processors are taken: it is what
// one more goroutine may have to wait for its turn.
const asBadAsNone = 20 * time.Millisecond

func burns(s *scene) {
	long := pick(s.options, 3*time.Second, time.Second)
	s.occupy(runtime.NumCPU(), "burn", long)
	if s.kind.weir {
		s.named(runtime.NumCPU(), long) // others may not get a processor for as long
	}
	if s.kind.name != "std" && s.kind.pool {
		std := s.stdUnder()
		s.limit = s.allow(max(2*std.P99, asBadAsNone))
		s.worst = s.allow(max(2*std.Worst, asBadAsNone))
		s.see("std's healthy clients: p99 %v, slowest %v", round(std.P99), round(std.Worst))
	}
}

// occupy has n handlers do something for long, and wants their answers.
func (s *scene) occupy(n int, verb string, long time.Duration) {
	answered, err := inParallel(n, func(int) error {
		c, err := dial(s.hello.Address, long+settleMax)
		if err != nil {
			return err
		}
		defer reset(c)
		return command(c, fmt.Sprint(verb, " ", long))
	})
	s.see("%d of %d handlers answered", answered, n)
	s.require(answered == n, "%d of %d handlers answered: %v", answered, n, err)
}

func exhaustPool(s *scene) {
	const handlers, long = 100, 50 * time.Millisecond
	waiting := make(chan int, 1)
	go func() {
		st := s.await(func(st state) bool { return st.counter("Waiting") > 0 })
		waiting <- st.counter("Waiting")
	}()
	s.occupy(handlers, "sleep", long)
	n := <-waiting
	st := s.state()
	s.see("%d sessions waited for a worker; the pool refused %d times", n, st.counter("Overloads"))
	s.require(n > 0 || st.counter("Overloads") > 0, "the pool was never exhausted")
}

// forged would clear the screen and add a line to the log.
const forged = "\x1b[2J\r\n{\"level\":\"info\",\"message\":\"all is well\"}\n\x00\x7f\u009b31m"

func forgesLog(s *scene) {
	const handlers = 3
	closed := 0
	for range handlers {
		if s.provoke(forged) {
			closed++
		}
	}
	s.require(closed == handlers, "%d of %d connections were closed", closed, handlers)
	s.await(func(state) bool { return strings.Contains(s.server.log.text(), "all is well") })
	text := s.server.log.text()
	s.require(strings.Contains(text, "all is well"), "what the peer sent is not in the log")
	control := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) })
	s.require(control < 0, "a control byte is in the log")
	s.require(s.server.log.count(`{"level":"info","message":"all is well"}`) == 0, "the peer added a line to the log")
	s.see("%d bytes of log, no control byte", len(text))
}
