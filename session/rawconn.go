package session

import (
	"fmt"
	"syscall"
)

// SyscallConn gives access to the descriptor, for socket options that weir does
// not name. It returns ErrClosed if the session has closed; so do the methods of
// what it returns from then on. Any goroutine may call them.
//
// Control calls f with the descriptor, which stays open until f returns. f must
// neither close it, nor keep it, nor switch it to blocking mode.
//
// Read and Write call f once, and return an error that is errors.ErrUnsupported
// if f reports false: the loop owns the waiting. What f reads the session's
// handler does not get; what f writes may land in the middle of a message.
func (s *Session) SyscallConn() (syscall.RawConn, error) {
	if s.State() == Closed {
		return nil, ErrClosed
	}
	return rawConn{s}, nil
}

type rawConn struct{ s *Session }

func (c rawConn) Control(f func(fd uintptr)) error {
	c.s.mu.Lock()
	c.s.flags |= exposed
	c.s.mu.Unlock()
	link, err := c.s.use()
	if err != nil {
		return err
	}
	defer link.Release()
	f(uintptr(link.Descriptor()))
	return nil
}

func (c rawConn) Read(f func(fd uintptr) (done bool)) error  { return c.once("read", f) }
func (c rawConn) Write(f func(fd uintptr) (done bool)) error { return c.once("write", f) }

func (c rawConn) once(name string, f func(fd uintptr) (done bool)) error {
	done := false
	if err := c.Control(func(fd uintptr) { done = f(fd) }); err != nil {
		return err
	}
	if !done {
		return fmt.Errorf("session: a raw %s cannot wait: %w", name, ErrNotSupported)
	}
	return nil
}
