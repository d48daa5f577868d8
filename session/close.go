package session

// Close writes what is queued, sends FIN, waits for the peer's FIN or the linger
// deadline, and closes. Messages that arrive meanwhile are discarded. It returns
// at once: OnClose tells when it is done. A second call returns ErrClosed.
func (s *Session) Close() error { return s.CloseWith(nil) }

// CloseWith is Close with a reason of the caller's, which OnClose gets as the
// cause. If it is or wraps a Reason, the session counts as closed for that.
func (s *Session) CloseWith(reason error) error {
	s.mu.Lock()
	err := s.end(reasonOf(reason, ReasonLocalClose), reason, 0)
	s.unlock()
	return err
}

// Abort closes at once: what is queued is dropped, and the peer gets RST.
// It returns ErrClosed if the session is closed already; after Close it cuts
// the draining short.
func (s *Session) Abort() error {
	s.mu.Lock()
	err := s.end(ReasonAborted, nil, aborted)
	s.unlock()
	return err
}

// CloseWrite sends FIN after what is queued and goes on reading; Send returns
// ErrClosed from now on.
func (s *Session) CloseWrite() error {
	s.mu.Lock()
	err := s.finish()
	s.unlock()
	return err
}

func (s *Session) finish() error {
	if s.State() == Connecting {
		return ErrNotConnected
	}
	if s.State() != Open || s.flags&(finWanted|aborted|failed) != 0 {
		return ErrClosed
	}
	if s.flags&peerDone != 0 {
		return s.end(ReasonPeerClosed, nil, 0)
	}
	s.flags |= finWanted
	if s.out != nil {
		s.out.dismiss()
	}
	s.tellWriter()
	s.push()
	return nil
}

// end begins the end of the session: with how == 0 it drains, with aborted it
// closes at once. The caller holds the lock.
func (s *Session) end(why Reason, cause error, how flags) error {
	switch {
	case s.link == nil:
		return ErrClosed
	case s.State() == Draining && (how == 0 || s.flags&aborted != 0):
		return ErrClosed
	}
	s.endBecause(why, cause)
	s.state.Store(uint32(Draining))
	if s.in != nil {
		if s.in.end != nil {
			s.flags |= s.in.end.how // of an end that was to follow
		}
		s.drop(s.in)
		s.in.end, s.in.finRead = nil, false
	}
	if s.out != nil {
		s.out.dismiss()
	}
	s.flags |= finWanted | how
	s.tellReader()
	s.tellWriter()
	s.push()
	return nil
}

// endBecause records why the session ends; the first cause stays.
func (s *Session) endBecause(why Reason, cause error) {
	if s.ended == nil {
		s.ended = &CloseError{Reason: why, Err: cause}
	}
}
