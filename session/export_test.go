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
