package poller

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// emulated is a kqueue made of epolls, for the tests: one epoll for each filter,
// because each filter of a descriptor fires for itself. Edge-triggered, they
// behave as EV_CLEAR does: they tell once per change, and at registration.
type emulated struct {
	able    features
	epolls  [filterUser]int
	user    int                 // eventfd of the user event
	endOnly [filterUser]fdFlags // registered with a mark never reached
	raw     []unix.EpollEvent
}

// fdFlags has one flag per descriptor number.
type fdFlags map[int]bool

// newEmulated returns a kqueue with the features of any of the real ones.
func newEmulated(able features) (*emulated, error) {
	k := &emulated{able: able}
	for i := range k.epolls {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return nil, err
		}
		k.epolls[i], k.endOnly[i] = fd, fdFlags{}
	}
	var err error
	k.user, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return k, err
}

func (k *emulated) features() features { return k.able }

func (k *emulated) apply(changes []change) {
	for i := range changes {
		changes[i].errno = k.applyOne(changes[i])
	}
}

func (k *emulated) applyOne(c change) syscall.Errno {
	if c.filter == filterUser {
		if !k.able.userEvents {
			return unix.EINVAL
		}
		if c.op == opTrigger {
			one := [8]byte{1}
			_, err := unix.Write(k.user, one[:])
			return asErrno(err)
		}
		return 0
	}
	if c.filter == filterUrgent && !k.able.urgent {
		return unix.EINVAL
	}
	epfd := k.epolls[c.filter]
	event := unix.EpollEvent{Events: emulatedMasks[c.filter], Fd: int32(c.ident)}
	switch c.op {
	case opAdd, opAddEnd:
		k.endOnly[c.filter][c.ident] = c.op == opAddEnd
		err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, c.ident, &event)
		if err == unix.EEXIST {
			err = unix.EpollCtl(epfd, unix.EPOLL_CTL_MOD, c.ident, &event)
		}
		return asErrno(err)
	case opDelete:
		return asErrno(unix.EpollCtl(epfd, unix.EPOLL_CTL_DEL, c.ident, nil))
	case opProbe:
		return asErrno(unix.EpollCtl(epfd, unix.EPOLL_CTL_MOD, c.ident, &event))
	}
	return unix.EINVAL
}

var emulatedMasks = [...]uint32{
	filterRead:   unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET,
	filterWrite:  unix.EPOLLOUT | unix.EPOLLET,
	filterUrgent: unix.EPOLLPRI | unix.EPOLLET,
}

func (k *emulated) wait(found []kevent, timeout time.Duration) (int, syscall.Errno) {
	start := time.Now()
	for {
		n, errno := k.collect(found)
		if n > 0 || errno != 0 || timeout == 0 {
			return n, errno
		}
		var limit *unix.Timespec
		if timeout > 0 {
			left := timeout - time.Since(start)
			if left <= 0 {
				return 0, 0
			}
			spec := unix.NsecToTimespec(int64(left))
			limit = &spec
		}
		if _, err := unix.Ppoll(k.pollSet(), limit, nil); err != nil {
			return 0, asErrno(err)
		}
	}
}

// pollSet has all that a wait waits for.
func (k *emulated) pollSet() []unix.PollFd {
	set := []unix.PollFd{{Fd: int32(k.user), Events: unix.POLLIN}}
	for _, fd := range k.epolls {
		set = append(set, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return set
}

// collect takes what is there, without waiting.
func (k *emulated) collect(found []kevent) (n int, errno syscall.Errno) {
	for f := range filterUser {
		if n == len(found) {
			return n, 0
		}
		k.raw = append(k.raw[:0], make([]unix.EpollEvent, len(found)-n)...)
		got, err := unix.EpollWait(k.epolls[f], k.raw, 0)
		if err != nil {
			return 0, asErrno(err)
		}
		for _, raw := range k.raw[:got] {
			e := emulate(f, raw)
			if !k.endOnly[f][e.ident] || e.end {
				found[n] = e
				n++
			}
		}
	}
	var count [8]byte
	if n < len(found) {
		if _, err := unix.Read(k.user, count[:]); err == nil {
			found[n] = kevent{ident: userIdent, filter: filterUser}
			n++
		}
	}
	return n, 0
}

// emulate tells of an epoll event what kevent would.
func emulate(f filter, raw unix.EpollEvent) kevent {
	e := kevent{ident: int(raw.Fd), filter: f}
	const over = unix.EPOLLHUP | unix.EPOLLERR
	switch f {
	case filterRead:
		e.end = raw.Events&(over|unix.EPOLLRDHUP) != 0
	case filterWrite:
		e.end = raw.Events&over != 0 || writeEnded(e.ident)
	}
	e.failed = raw.Events&unix.EPOLLERR != 0
	return e
}

// writeEnded reports whether a TCP socket has been closed for writing, for which
// epoll has no event of its own. Other files: no.
func writeEnded(fd int) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false
	}
	switch info.State {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_SYN_SENT, unix.BPF_TCP_SYN_RECV,
		unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LISTEN:
		return false
	}
	return true
}

func (k *emulated) close() error {
	for _, fd := range k.epolls {
		unix.Close(fd)
	}
	return unix.Close(k.user)
}

func asErrno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return err.(syscall.Errno)
}
