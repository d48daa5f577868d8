//go:build linux

package main

import "time"

// Row 4: the poll call returns for nothing.

var pollCalls = []string{"epoll_wait", "epoll_pwait", "epoll_pwait2"}

// interruptedPoll leaves two of three calls alone: at EINTR in every call the Go
// runtime's own poller would never come to an end.
func interruptedPoll(s *scene, calm bool) (_ []string, err error) {
	var rules []string
	if !calm {
		rules = []string{"error=EINTR:when=2+3"}
	}
	if s.trace, err = newStrace(s.dir, pollCalls, rules...); err != nil {
		return nil, err
	}
	return s.trace.tool, nil
}

// keepTalking has the healthy clients, who send all the time, find out.
func keepTalking(s *scene) {
	time.Sleep(pick(s.options, 3*time.Second, time.Second))
	injected := s.injected("EINTR")
	s.see("%d calls were interrupted", injected)
	s.require(injected > 0, "nothing was injected")
}
