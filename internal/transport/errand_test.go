package transport

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestErrandsRunInOrderAndOnce(t *testing.T) {
	var s Errands
	var log []int
	var all [3]Errand
	for i := range all {
		all[i].Run = func() {
			log = append(log, i)
			if i == 0 && len(log) < 5 {
				s.Leave(&all[0]) // waits for the next turn
			}
		}
	}
	if !s.Empty() || s.RunAll() != 0 {
		t.Error("it is not empty at first")
	}
	for _, c := range []struct {
		i   int
		new bool
	}{{2, true}, {0, true}, {2, false}, {1, true}, {0, false}} {
		if got := s.Leave(&all[c.i]); got != c.new {
			t.Errorf("Leave of %d: %v, want %v", c.i, got, c.new)
		}
	}
	if n := s.RunAll(); n != 3 || fmt.Sprint(log) != "[2 0 1]" {
		t.Errorf("%d ran: %v", n, log)
	}
	if s.Empty() {
		t.Error("the one that was left meanwhile is lost")
	}
	if n := s.RunAll(); n != 1 || fmt.Sprint(log) != "[2 0 1 0]" {
		t.Errorf("%d ran: %v", n, log)
	}
}

// An errand ends its goroutine: those that were taken with it are left again, and can be.
func TestErrandsAfterOneThatExits(t *testing.T) {
	var s Errands
	var log []int
	var all [3]Errand
	for i := range all {
		all[i].Run = func() {
			if log = append(log, i); i == 0 {
				runtime.Goexit()
			}
		}
		s.Leave(&all[i])
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.RunAll()
	}()
	<-ended
	s.Repost()
	s.Repost() // nothing is left twice
	if n := s.RunAll(); n != 2 || fmt.Sprint(log) != "[0 1 2]" {
		t.Errorf("%d ran: %v", n, log)
	}
	if !s.Leave(&all[1]) || s.RunAll() != 1 {
		t.Error("it cannot be left again")
	}
}

// Many leave errands with one loop, and wait until theirs has seen what they wrote.
func TestErrandsForgetNothing(t *testing.T) {
	const others, rounds = 4, 20_000
	var s Errands
	wake := make(chan struct{}, 1)
	stop := make(chan struct{})
	var loop, all sync.WaitGroup
	loop.Go(func() {
		for {
			select {
			case <-wake:
				s.RunAll()
			case <-stop:
				return
			}
		}
	})
	for range others {
		all.Go(func() {
			var wrote, seen atomic.Int64
			x := &Errand{Run: func() { seen.Store(wrote.Load()) }}
			for i := range int64(rounds) {
				wrote.Store(i + 1)
				if s.Leave(x) {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
				for began := time.Now(); seen.Load() != i+1; runtime.Gosched() {
					if time.Since(began) > 20*time.Second {
						t.Errorf("errand %d is not done", i)
						return
					}
				}
			}
		})
	}
	all.Wait()
	close(stop)
	loop.Wait()
}
