//go:build linux

package main

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Row 49: what happens to a shutdown whose time is up.

const (
	lostPeers    = 100
	restingLooks = 10                     // that see the same mean that nothing changes any more
	expiredMax   = 2 * time.Second        // for everything to end, from SIGTERM on
	overMax      = 100 * time.Millisecond // for weir, from the deadline on
)

// shutsDownStuck has peers ask for more than they take.
func shutsDownStuck(s *scene) {
	last := s.expire(func(c *net.TCPConn) error {
		_, err := fmt.Fprintf(c, "%cflood x %d", commandMark, 4<<20)
		return err
	}, func() int64 {
		st := s.state()
		return st.Handled + int64(st.counter("Queued"))
	})
	if s.kind.weir {
		s.require(last.counter("Unsent") > 0, "nothing was unsent")
		s.see("%d MiB unsent", last.counter("Unsent")>>20)
	}
}

// shutsDownBlocked has a handler of each peer sleep for longer than the harness waits.
func shutsDownBlocked(s *scene) {
	s.expire(func(c *net.TCPConn) error {
		_, err := fmt.Fprintf(c, "%csleep %v", commandMark, time.Hour)
		return err
	}, func() int64 { return s.state().Handled })
}

// expire connects peers that each do something to the server, waits until that is
// felt, and ends it with a deadline that it cannot keep. Felt is a number that no
// longer changes then.
func (s *scene) expire(do func(c *net.TCPConn) error, felt func() int64) (last state) {
	if err := s.startServer(nil); err != nil {
		s.fail("%v", err)
		return last
	}
	var conns []*net.TCPConn
	for range lostPeers {
		c, err := dialTiny(s.hello.Address, tiny)
		if err == nil {
			defer reset(c)
			conns = append(conns, c)
			err = do(c)
		}
		if err != nil {
			s.fail("%v", err)
			return last
		}
	}
	before, same := int64(0), 0
	resting := s.until(settleMax, func() bool {
		now := felt() + unread(conns)
		if same++; now == 0 || now != before {
			before, same = now, 0
		}
		return same == restingLooks
	})
	s.require(resting, "the server has not come to rest after %v", settleMax)

	ends := make(chan peersEnd, 1)
	began := time.Now()
	go func() { ends <- awaitEnds(conns, began.Add(expiredMax)) }()
	if s.signal(nil) {
		last = s.lastState(began, expiredMax)
	}
	s.judgeExpired(last, conns, <-ends)
	return last
}

// judgeExpired looks at how late everything ended. Peers may have to read before they
// see their end, but weir's need not.
func (s *scene) judgeExpired(last state, conns []*net.TCPConn, end peersEnd) {
	if last.Deadline == 0 {
		return // it did not come so far
	}
	peers := "the last peer " + side(end.last.Sub(time.Unix(0, last.Deadline)))
	if end.open > 0 {
		peers = fmt.Sprintf("%d of %d peers do not see their end before they have read", end.open, len(conns))
	}
	s.see("shutdown returned %s; %s", side(last.Over), peers)
	over, err := inParallel(len(conns), func(i int) error {
		_, err := ended(conns[i]) // by the deadline of a stream
		return err
	})
	s.require(over == len(conns), "%d of %d peers ended: %v", over, len(conns), err)
	if s.kind.weir {
		limit := s.allow(overMax)
		s.require(end.open == 0, "%s", peers)
		s.require(last.Shutdown != "ok", "shutdown said %q", last.Shutdown)
		s.hurry(last.Over, limit, "returning after the deadline")
		s.hurry(end.last.Sub(time.Unix(0, last.Deadline)), limit, "closing all peers after the deadline")
	}
}

// side tells on which side of the deadline something was.
func side(after time.Duration) string {
	if after < 0 {
		return fmt.Sprintf("%v before the deadline", round(-after))
	}
	return fmt.Sprintf("%v after the deadline", round(after))
}

// unread is how many bytes wait to be read, all in all.
func unread(conns []*net.TCPConn) (n int64) {
	for _, c := range conns {
		_ = control(c, func(fd int) { // one that fails has nothing to be read
			if waiting, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err == nil {
				n += int64(waiting)
			}
		})
	}
	return n
}

func control(c *net.TCPConn, f func(fd int)) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

// peersEnd is when the last of some peers saw its end, and how many did not.
type peersEnd struct {
	last time.Time
	open int
}

// awaitEnds waits until all connections have ended, with FIN or RST. It reads nothing:
// a peer that takes what is queued is not stuck.
func awaitEnds(conns []*net.TCPConn, latest time.Time) (end peersEnd) {
	var fds []unix.PollFd
	for _, c := range conns {
		_ = control(c, func(fd int) { // one that fails has ended
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP})
		})
	}
	late := false
	for end.open = len(fds); end.open > 0 && !late; {
		patience := max(time.Until(latest), 0)
		if _, err := unix.Poll(fds, int((patience + time.Millisecond - 1).Milliseconds())); err != nil {
			continue // interrupted
		}
		late = patience == 0 // once more, then: those that have ended meanwhile are not open
		for i, fd := range fds {
			if fd.Revents != 0 {
				fds[i] = unix.PollFd{Fd: -1}
				end.last = time.Now()
				end.open--
			}
		}
	}
	return end
}
