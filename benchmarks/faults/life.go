//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Rows 34 and 49: how connections and servers end.

func closesManyTimes(s *scene) {
	const amount = 1 << 20
	clients := pick(s.options, 20, 10)
	base := s.state()
	var mu sync.Mutex
	whole := 0
	over, err := inParallel(clients, func(int) error {
		c, err := dial(s.hello.Address, dialPatience)
		if err != nil {
			return err
		}
		defer reset(c)
		if _, err := fmt.Fprintf(c, "%cend %d", commandMark, amount); err != nil {
			return err
		}
		got, err := io.ReadAll(c)
		if failed, ok := err.(net.Error); ok && failed.Timeout() {
			return fmt.Errorf("still open after %v", dialPatience)
		}
		if err == nil && bytes.Count(got, []byte{'e'}) == amount {
			mu.Lock()
			whole++
			mu.Unlock()
		}
		return nil
	})
	st := s.await(func(st state) bool { return st.Closed-base.Closed >= int64(clients) })
	s.see("%d of %d ended, %d told twice, %d with all that was queued", st.Closed-base.Closed, clients, st.ClosedAgain, whole)
	s.require(over == clients, "%d of %d connections ended: %v", over, clients, err)
	s.require(st.Closed-base.Closed == int64(clients), "%d of %d ends were told", st.Closed-base.Closed, clients)
	s.require(st.ClosedAgain == 0, "%d ends were told twice", st.ClosedAgain)
	s.require(st.CloseFaults == 0, "%d closes failed otherwise than with net.ErrClosed", st.CloseFaults)
	s.require(whole == clients || !s.kind.weir, "%d of %d got all that was queued", whole, clients)
}

// loaded is a client during a shutdown: it sends a message every so often, until
// the connection ends.
type loaded struct {
	conn     *net.TCPConn
	sent     int
	received int
	clean    bool // ended with FIN
	open     bool // did not end
}

const (
	loadedSize     = 64
	loadedInterval = 500 * time.Millisecond
)

// run sends and receives until the end, by the deadline of the connection. Others
// are to send at other moments.
func (l *loaded) run(delay time.Duration) {
	defer reset(l.conn)
	time.Sleep(delay)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		buffer := make([]byte, 4<<10)
		for {
			n, err := l.conn.Read(buffer)
			l.received += n
			if err != nil {
				failed, ok := err.(net.Error)
				l.clean, l.open = err == io.EOF, ok && failed.Timeout()
				return
			}
		}
	}()
	message := letters(1, loadedSize)
	for {
		n, err := l.conn.Write(message)
		l.sent += n
		if err != nil {
			break
		}
		select {
		case <-reading:
			return
		case <-time.After(loadedInterval):
		}
	}
	<-reading
}

func shutsDownUnderLoad(s *scene) {
	if err := s.startServer(nil); err != nil {
		s.fail("%v", err)
		return
	}
	conns := pick(s.options, 5000, 1000)
	clients := make([]*loaded, conns)
	_, err := inParallel(8, func(part int) error {
		for i := part; i < conns; i += 8 {
			c, err := dial(s.hello.Address, 30*time.Second)
			if err != nil {
				return err
			}
			clients[i] = &loaded{conn: c}
		}
		return nil
	})
	if err != nil {
		s.fail("%v", err)
		return
	}
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { c.run(time.Duration(i) * loadedInterval / time.Duration(conns)) })
	}
	time.Sleep(2 * loadedInterval)
	last := s.terminate(11 * time.Second)
	all.Wait()
	s.judgeShutdown(clients, last)
}

// terminate sends SIGTERM and returns the server's last state.
func (s *scene) terminate(within time.Duration) (last state) {
	began := time.Now()
	if err := syscall.Kill(s.hello.PID, syscall.SIGTERM); err != nil {
		s.fail("kill -TERM: %v", err)
		return last
	}
	if err := s.server.read(&last, within); err != nil {
		s.fail("shutdown: %v", err)
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

func shutsDownStuck(s *scene) {
	const peers, within = 100, 2 * time.Second
	if err := s.startServer(nil); err != nil {
		s.fail("%v", err)
		return
	}
	var conns []*net.TCPConn
	for range peers {
		c, err := dialTiny(s.hello.Address, 4<<10)
		if err != nil {
			s.fail("%v", err)
			return
		}
		defer reset(c)
		conns = append(conns, c)
		if _, err := fmt.Fprintf(c, "%cflood x %d", commandMark, 4<<20); err != nil {
			s.fail("%v", err)
			return
		}
	}
	time.Sleep(300 * time.Millisecond) // buffers fill
	began := time.Now()
	last := s.terminate(within)
	s.require(time.Since(began) < within, "it took %v", round(time.Since(began)))
	if s.kind.weir {
		s.require(last.Shutdown != "ok" && last.counter("Unsent") > 0, "nothing was unsent, shutdown said %q", last.Shutdown)
		s.see("%d MiB unsent", last.counter("Unsent")>>20)
	}
	for _, c := range conns {
		if _, err := ended(c); err != nil {
			s.fail("a peer: %v", err)
			return
		}
	}
}
