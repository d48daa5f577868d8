//go:build linux

package main

import (
	"sync"
	"time"
)

// stage is where an act is played: a server that lasts, and what it must have counted
// when nobody is there any more.
type stage struct {
	settings
	name    string
	address string
	crowd   *child // the clients' process
	groups  groupNumbers

	mu    sync.Mutex
	books books
}

// books are what a server must have counted, by those who made it happen.
type books struct {
	connections int64            // that were made
	closed      map[string]int64 // ends for which the server has a reason of its own
	unsent      int64            // messages that visitors were told of as unsent
	published   int64            // messages to groups
	dueLeast    int64            // messages that groups had to give to members, once for each
	dueMost     int64            // the same, if nobody had been closed meanwhile
}

// note changes the books.
func (s *stage) note(change func(*books)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.books)
}

// ends notes that the server will end n sessions for a reason.
func (s *stage) ends(reason string, n int) {
	s.note(func(b *books) { b.closed[reason] += int64(n) })
}

// dial connects to the server, and counts that.
func (s *stage) dial(narrow bool) (*link, error) {
	l, err := dial(s.address, narrow)
	if err == nil {
		s.note(func(b *books) { b.connections++ })
	}
	return l, err
}

// dialMany connects n times. If there is an error, none stays.
func (s *stage) dialMany(n int, narrow bool) ([]*link, error) {
	var links []*link
	for range n {
		l, err := s.dial(narrow)
		if err != nil {
			closeAll(links)
			return nil, err
		}
		links = append(links, l)
	}
	return links, nil
}

func closeAll(links []*link) {
	for _, l := range links {
		l.Close()
	}
}

// each calls f with all numbers below n, several at a time, and returns an error of one.
func each(n, atOnce int, f func(i int) error) (err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	numbers := make(chan int)
	for range min(n, atOnce) {
		all.Go(func() {
			for i := range numbers {
				if failed := f(i); failed != nil {
					mu.Lock()
					err = failed
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
	return err
}

// pace has whoever calls wait no longer than until the next moment of a rate: what is
// bounded by it takes a bounded part of the machine.
type pace struct{ ticks *time.Ticker }

func newPace(perSecond int) pace { return pace{time.NewTicker(time.Second / time.Duration(perSecond))} }

func (p pace) wait() { <-p.ticks.C }
func (p pace) stop() { p.ticks.Stop() }
