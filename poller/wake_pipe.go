//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeRouser ends a wait by a byte in a pipe, where there are no user events.
type pipeRouser struct {
	r, w int
}

func openPipeRouser(k kernel) (rouser, error) {
	fds := make([]int, 2)
	// The lock keeps a fork from inheriting them before they are marked.
	syscall.ForkLock.RLock()
	err := unix.Pipe(fds)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("poller: pipe: %w", err)
	}
	p := &pipeRouser{r: fds[0], w: fds[1]}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			p.close()
			return nil, fmt.Errorf("poller: set pipe non-blocking: %w", err)
		}
	}
	changes := [...]change{{ident: p.r, filter: filterRead, op: opAdd}}
	k.apply(changes[:])
	if errno := changes[0].errno; errno != 0 {
		p.close()
		return nil, fmt.Errorf("poller: kevent add pipe: %w", errno)
	}
	return p, nil
}

// rouse writes a byte. A full pipe needs none: what is in it has not been
// reported, or is about to be read.
func (p *pipeRouser) rouse() {
	for {
		if _, err := unix.Write(p.w, []byte{0}); err != unix.EINTR {
			return
		}
	}
}

// heard empties the pipe. A sleep writes one byte at most, so that one read is
// nearly always enough.
func (p *pipeRouser) heard(e kevent) bool {
	if e.ident != p.r || e.filter != filterRead {
		return false
	}
	var sink [64]byte
	for {
		n, err := unix.Read(p.r, sink[:])
		if err == unix.EINTR || n == len(sink) {
			continue
		}
		return true
	}
}

func (p *pipeRouser) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}
