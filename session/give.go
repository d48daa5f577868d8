package session

import (
	"slices"
	"syscall"
)

// How a session is given messages of its groups: past its own queue, straight from
// their pages. All of this is called on the loop.

// Collect has the session given what its groups have published so far, and the others on
// its loop with it: it is about to be sent away. On the loop.
func (d Driver) Collect() {
	s := d.s
	s.mu.Lock()
	var stays []*membership
	if s.extra != nil {
		stays = slices.Concat(s.extra.groups, s.extra.leaving)
	}
	s.mu.Unlock()
	for _, m := range stays {
		m.branch.workOff()
	}
}

// give gives t to the kernel, if nothing is queued, and returns how many of its
// messages are gone: the kernel has them, or their rest is queued. The others are to
// wait for feed. It reports false if the session takes no more messages.
func (s *Session) give(t *batch, m *membership) (gone int, open bool) {
	s.mu.Lock()
	if s.takes(m) && s.queued() > 0 && s.writeFree() {
		s.carry() // what a handler has sent so far does not gather any longer
	}
	if s.takes(m) && s.queued() == 0 && s.writeFree() {
		gone = s.writePast(t)
	}
	open = s.takes(m) // others may have closed it during a write
	if open && gone == t.messages && s.out == nil {
		s.mu.Unlock() // nothing has changed that the loop must know
	} else {
		s.unlock()
	}
	return gone, open
}

// takes tells whether the session takes messages, for a stay if m is not nil. The caller
// holds the lock.
func (s *Session) takes(m *membership) bool {
	return s.State() == Open && s.flags&(finWanted|aborted|failed|departed) == 0 && (m == nil || !m.cut)
}

// takesMore is takes for who does not hold the lock.
func (s *Session) takesMore(m *membership) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takes(m)
}

// writePast writes t past the queue, which is empty, and returns how many of its
// messages are gone. The caller holds the lock, which is released meanwhile, and has
// found the write side free. The descriptor stays open: its loop has a count.
func (s *Session) writePast(t *batch) (gone int) {
	link := s.link
	s.flags |= writing
	s.mu.Unlock()
	var n int
	var errno syscall.Errno
	if len(t.views) == 1 {
		n, errno = link.Send(t.views[0])
	} else {
		n, errno = link.Sendv(t.views)
	}
	s.mu.Lock()
	s.flags &^= writing
	s.tellUnsure()
	s.bytesOut += uint64(n)
	if n == t.bytes && s.out == nil && s.flags&finWanted == 0 {
		s.messagesOut += uint64(t.messages)
		return t.messages
	}
	gone = s.queueRest(t.runs, n)
	s.messagesOut += uint64(gone)
	switch errno {
	case 0:
	case syscall.EAGAIN:
		s.flags |= blocked
	default:
		s.fail(errno)
	}
	s.flush() // the rest, and what others have queued meanwhile
	if s.out != nil && s.out.pinned && s.flags&writing == 0 {
		s.unpin() // handlers have returned meanwhile
	}
	return gone
}

// queueRest queues what is missing of the message that has begun, where the kernel
// took n bytes of runs. It returns how many messages are gone.
func (s *Session) queueRest(runs []run, n int) (gone int) {
	for _, r := range runs {
		if size := r.size(); n >= size {
			n -= size
			gone += r.len()
			continue
		}
		whole, rest := r.split(n)
		if rest != nil {
			whole++
			s.queue().putFirst(r.page.segment, rest)
		}
		return gone + whole
	}
	return gone
}

// lag records that m is behind. Its loop feeds it when there is room. It reports false if
// the session takes no more messages: its FIN may be out.
func (s *Session) lag(m *membership) bool {
	s.mu.Lock()
	defer s.unlock()
	if !s.takes(m) {
		return false
	}
	m.behind = &backlog{}
	x := s.more()
	x.lagging = append(x.lagging, m)
	s.flags |= lagging
	m.tell(true)
	return true
}

// catchUp records that m is no longer behind.
func (s *Session) catchUp(m *membership) {
	s.mu.Lock()
	s.caughtUp(m)
	if s.link != nil {
		s.settle() // a FIN may have waited
	}
	s.unlock()
}

func (s *Session) caughtUp(m *membership) {
	x := s.extra
	m.behind = nil
	x.lagging = slices.DeleteFunc(x.lagging, func(other *membership) bool { return other == m })
	if len(x.lagging) == 0 {
		s.flags &^= lagging
	}
	m.tell(false)
}

// feed writes what members are behind by while the kernel takes it, a group after the
// other. The caller holds the lock, and has written the queue.
func (s *Session) feed() {
	if s.flags&lagging == 0 {
		return
	}
	for fed := 0; fed < carryBytes && s.flags&lagging != 0 && s.queued() == 0 && s.writeFree(); {
		x := s.extra
		m := x.lagging[0]
		x.lagging[copy(x.lagging, x.lagging[1:])] = m
		before := s.bytesOut
		s.feedOne(m)
		fed += int(s.bytesOut - before)
	}
	if s.flags&lagging == 0 && s.link != nil {
		s.settle() // a FIN may have waited
	}
}

// feedOne writes what one membership is behind by, once.
func (s *Session) feedOne(m *membership) {
	b := m.branch
	t := &b.scratch
	*t = batch{runs: t.runs[:0], views: t.views[:0]}
	if m.cut {
		unsent := m.behind.clear()
		b.tally.unsent += unsent
		b.tally.queued -= unsent
	}
	now := b.stream.room.all.now()
	expired := m.behind.dropExpired(now)
	b.tally.expired += expired
	b.tally.queued -= expired
	for _, r := range m.behind.runs.All() {
		valid := r.until(now)
		if valid.len() == 0 || !t.fits(valid) {
			break
		}
		t.push(valid)
		if valid != r {
			break
		}
	}
	if t.messages > 0 {
		gone := s.writePast(t)
		m.behind.drop(gone)
		b.tally.delivered += gone
		b.tally.queued -= gone
	}
	b.tally.add(b.stream.room)
	if m.behind.messages == 0 {
		s.caughtUp(m)
	}
}

// closeSlow closes the session because it does not keep up with a group, and reports
// false if it is ending already.
func (s *Session) closeSlow(cause error) bool {
	s.mu.Lock()
	defer s.unlock()
	return s.takes(nil) && s.end(ReasonSlowConsumer, cause, aborted) == nil
}
