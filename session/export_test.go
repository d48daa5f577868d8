package session

// Waiters is how many SendContext wait.
func (s *Session) Waiters() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return 0
	}
	return len(s.out.waiters)
}

// Streams is how many codecs a group writes for.
func (g *Group) Streams() int {
	r := g.enter(false)
	defer r.mu.Unlock()
	return len(r.streams)
}

// Waiting is how many PublishContext wait.
func (g *Group) Waiting() int {
	r := g.enter(false)
	defer r.mu.Unlock()
	return len(r.waiters)
}
