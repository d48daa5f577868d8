//go:build darwin || dragonfly || freebsd || netbsd || openbsd

// The kernel seam of kqueue.go on darwin and the BSDs. What differs between
// them stands in one small file each: kevent_darwin.go and its siblings.

package poller

import (
	"fmt"
	"math"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bsdKernel is a kqueue descriptor.
type bsdKernel struct {
	fd  int
	raw []unix.Kevent_t // wait's own
}

// Open returns a new Poller, which the calling goroutine owns and must close.
func Open() (Poller, error) {
	// The lock keeps a fork from inheriting it before it is marked.
	syscall.ForkLock.RLock()
	fd, err := unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("poller: kqueue: %w", err)
	}
	return openKqueue(&bsdKernel{fd: fd})
}

func (k *bsdKernel) features() features {
	return features{userEvents: hasUserEvents, urgent: hasUrgentFilter}
}

// apply uses one call for all changes where EV_RECEIPT makes the kernel answer
// each of them; elsewhere one call each, whose result is the answer.
func (k *bsdKernel) apply(changes []change) {
	var in, out [filterCount]unix.Kevent_t
	if flagReceipt == 0 {
		for i := range changes {
			in[0] = encode(changes[i])
			_, err := k.change(in[:1], nil)
			changes[i].errno = errnoOf(err)
		}
		return
	}
	for i, c := range changes {
		in[i] = encode(c)
		in[i].Flags |= flagReceipt
	}
	n, err := k.change(in[:len(changes)], out[:len(changes)])
	for i := range changes {
		switch {
		case err != nil:
			changes[i].errno = errnoOf(err)
		case i < n:
			changes[i].errno = syscall.Errno(out[i].Data)
		default:
			changes[i].errno = syscall.EIO
		}
	}
}

func (k *bsdKernel) wait(found []kevent, timeout time.Duration) (int, syscall.Errno) {
	if len(found) > len(k.raw) {
		k.raw = make([]unix.Kevent_t, len(found))
	}
	var limit *unix.Timespec
	if timeout >= 0 {
		spec := unix.NsecToTimespec(int64(timeout))
		limit = &spec
	}
	n, err := unix.Kevent(k.fd, nil, k.raw[:len(found)], limit)
	if err != nil {
		return 0, errnoOf(err)
	}
	for i := range k.raw[:n] {
		found[i] = decode(&k.raw[i])
	}
	return n, 0
}

func (k *bsdKernel) close() error {
	return unix.Close(k.fd)
}

// change enters changes without waiting. It goes by the answers, and retries
// what a signal interrupted.
func (k *bsdKernel) change(in, out []unix.Kevent_t) (int, error) {
	var now unix.Timespec
	for {
		n, err := unix.Kevent(k.fd, in, out, &now)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// noFilter stands for a filter that a kernel does not have; none has this number.
const noFilter = 1 << 14

// kernelFilters are the kernel's numbers of ours.
var kernelFilters = [filterCount]int{
	filterRead:   unix.EVFILT_READ,
	filterWrite:  unix.EVFILT_WRITE,
	filterUrgent: filterNumberUrgent,
	filterUser:   filterNumberUser,
}

// encode writes a change in the kernel's words. SetKevent knows the types of
// the fields, which differ.
func encode(c change) (e unix.Kevent_t) {
	flags := 0
	switch c.op {
	case opAdd, opAddEnd:
		flags = unix.EV_ADD | unix.EV_CLEAR
	case opDelete:
		flags = unix.EV_DELETE
	case opProbe:
		flags = unix.EV_ENABLE
	}
	unix.SetKevent(&e, c.ident, kernelFilters[c.filter], flags)
	switch {
	case c.op == opAddEnd:
		e.Fflags, e.Data = unix.NOTE_LOWAT, math.MaxInt32
	case c.op == opAdd && c.filter == filterUrgent:
		e.Fflags = noteUrgent
	case c.op == opTrigger:
		e.Fflags = noteTrigger
	}
	return e
}

// decode reads an event. For sockets the filter flags of an end are the error.
func decode(e *unix.Kevent_t) kevent {
	k := kevent{ident: int(e.Ident)}
	for f, number := range kernelFilters {
		if int(e.Filter) == number {
			k.filter = filter(f)
			break
		}
	}
	switch {
	case e.Flags&unix.EV_ERROR != 0:
		k.failed = true
	case e.Flags&unix.EV_EOF != 0:
		k.end, k.failed = true, e.Fflags != 0
	}
	return k
}

// errnoOf is the errno in an error of package unix.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return syscall.EIO
}
