package session

// SendAt is Send that also tells how far the session's output must get before p has left:
// while Stats.BytesOut is below end, the kernel has not taken all of p. So whoever waits
// for an answer can tell, when the session has ended, whether the peer can have got the
// question: not if BytesOut and CloseError.InWrite together are below end. With an error
// nothing is queued.
func (s *Session) SendAt(p []byte) (end uint64, err error) {
	s.mu.Lock()
	defer s.unlock()
	begin := s.bytesOut + uint64(s.queued())
	return begin + uint64(len(p)), s.send(p)
}

// OnLoop tells whether the caller runs on a loop of the session's engine, as handlers do
// in modes inline and single, and so must not wait for what the loop does, such as
// handling a message; false once the session is closed. It takes about two microseconds.
func (s *Session) OnLoop() bool {
	link, err := s.use()
	if err != nil {
		return false
	}
	defer link.Release()
	return link.OnLoop()
}
