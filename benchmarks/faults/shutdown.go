//go:build linux

package main

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Row 49: how servers end under load. What happens when the time is up is in
// deadline.go.

// shutdownMax is more than servers may take, and how long clients wait for them.
const shutdownMax = 11 * time.Second

// loaded is a client during a shutdown: it sends a message every so often, until
// the connection ends.
type loaded struct {
	conn     *net.TCPConn
	sent     int
	received int
	clean    bool // ended with FIN
	open     bool // did not end

	answered atomic.Bool // something has been received
}

const (
	loadedSize     = 64
	loadedInterval = 500 * time.Millisecond
)

// run sends and receives until the end, by the deadline of the connection. Others
// are to send at other moments.
func (l *loaded) run(delay time.Duration) {
	time.Sleep(delay)
	over := make(chan struct{})
	go func() {
		defer close(over)
		l.receive()
	}()
	message := letters(1, loadedSize)
	for l.send(message) {
		select {
		case <-over:
			return
		case <-time.After(loadedInterval):
		}
	}
	<-over
}

func (l *loaded) send(message []byte) bool {
	n, err := l.conn.Write(message)
	l.sent += n
	return err == nil
}

// receive reads until the end.
func (l *loaded) receive() {
	defer reset(l.conn)
	buffer := make([]byte, 4<<10)
	for {
		n, err := l.conn.Read(buffer)
		l.received += n
		if n > 0 {
			l.answered.Store(true)
		}
		if err != nil {
			failed, ok := err.(net.Error)
			l.clean, l.open = err == io.EOF, ok && failed.Timeout()
			return
		}
	}
}

func shutsDownUnderLoad(s *scene) {
	s.endUnderLoad(pick(s.options, 5000, 1000), s.signal)
}

// shutsDownTwice has the server call its shutdown three times.
func shutsDownTwice(s *scene) {
	last := s.endUnderLoad(pick(s.options, 1000, 200), s.signal)
	if last.Shutdown == "" {
		return // it did not come so far
	}
	others := strings.Join(last.Again, " and ")
	s.see("the other calls: %s", others)
	s.require(len(last.Again) == 2, "not all calls returned")
	failed := slices.ContainsFunc(last.Again, func(outcome string) bool { return outcome != "ok" })
	s.require(!failed || !s.kind.weir, "the other calls: %s", others)
}

func stopsInHandler(s *scene) {
	s.endUnderLoad(pick(s.options, 1000, 200), func(spare *loaded) bool {
		return spare.send([]byte(string(commandMark) + "stop"))
	})
}

// signal sends SIGTERM.
func (s *scene) signal(*loaded) bool {
	err := syscall.Kill(s.hello.PID, syscall.SIGTERM)
	s.require(err == nil, "kill -TERM: %v", err)
	return err == nil
}

// endUnderLoad has clients send all the time, ends the server when each has had an
// answer, and judges what they got. There is a spare client that has sent nothing.
func (s *scene) endUnderLoad(conns int, end func(spare *loaded) bool) (last state) {
	if err := s.startServer(nil); err != nil {
		s.fail("%v", err)
		return last
	}
	clients := make([]*loaded, conns+1)
	_, err := inParallel(8, func(part int) error {
		for i := part; i < len(clients); i += 8 {
			c, err := dial(s.hello.Address, 2*shutdownMax)
			if err != nil {
				return err
			}
			clients[i] = &loaded{conn: c}
		}
		return nil
	})
	if err != nil {
		s.fail("%v", err)
		return last
	}
	var all sync.WaitGroup
	spare := clients[conns]
	all.Go(spare.receive)
	for i, c := range clients[:conns] {
		all.Go(func() { c.run(time.Duration(i) * loadedInterval / time.Duration(conns)) })
	}
	busy := s.until(settleMax, func() bool {
		return !slices.ContainsFunc(clients[:conns], func(c *loaded) bool { return !c.answered.Load() })
	})
	s.require(busy, "not every client was answered before the shutdown")
	began := time.Now()
	if end(spare) {
		last = s.lastState(began, shutdownMax)
	}
	all.Wait()
	if last.Shutdown != "" {
		s.judgeShutdown(clients, last)
	}
	return last
}

// lastState returns what the server says at its end, which is to come within a time
// from its beginning.
func (s *scene) lastState(began time.Time, within time.Duration) (last state) {
	if err := s.server.read(&last, time.Until(began.Add(within))); err != nil {
		s.fail("shutdown: %v", err)
		if s.server.awaitEnd(time.Until(began.Add(within))) {
			s.fail("the server: %s", s.lastWords())
		}
		return last
	}
	exited := s.server.awaitEnd(time.Second)
	s.see("shutdown took %v: %s", round(time.Since(began)), last.Shutdown)
	s.require(exited, "the process is still there")
	return last
}

func (s *scene) judgeShutdown(clients []*loaded, last state) {
	var answered, cut, unanswered, wasReset, open int
	var received int64
	for _, c := range clients {
		received += int64(c.received)
		switch missing := c.sent - c.received; {
		case missing == 0:
			answered++
		case missing%loadedSize != 0:
			cut++
		default:
			unanswered++
		}
		if c.open {
			open++
		} else if !c.clean {
			wasReset++
		}
	}
	s.see("%d connections: %d all answered, %d closed with a message not read, %d with half an answer; %d reset, %d left open",
		len(clients), answered, unanswered, cut, wasReset, open)
	s.require(cut == 0, "%d connections got half an answer", cut)
	s.require(open == 0, "%d connections did not end", open)
	s.require(last.Shutdown == "ok", "shutdown: %s", last.Shutdown)
	unsent := int64(last.counter("Unsent"))
	s.see("%d bytes handled, %d of their answers arrived", last.Handled, received)
	s.require(last.Handled == received+unsent, "of %d bytes handled the answers to %d arrived, %d were reported unsent", last.Handled, received, unsent)
	if s.kind.weir {
		read := int64(last.counter("BytesIn"))
		s.see("%d bytes read, %d reported unhandled, %d unsent", read, last.Unhandled, unsent)
		s.require(read == last.Handled+last.Unhandled, "of %d bytes read %d were handled and %d reported unhandled", read, last.Handled, last.Unhandled)
		s.require(wasReset == 0, "%d connections were reset", wasReset)
	}
}
