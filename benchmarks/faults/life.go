//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
)

// Row 34: how connections end.

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
