//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

// The backend of darwin and the BSDs. All its logic is here, over a seam so
// small that it runs on Linux too, in tests, on an emulated kqueue. The Go
// runtime cannot watch a kqueue (it would ask it for writability), so a loop
// that waits blocks its thread in kevent.
//
// Every registration has both filters, for reading and for writing: hang-up
// means that both have ended, and errors must be told whatever the interest.
// The filter nobody is interested in gets a low-water mark that no buffer
// reaches, so that it fires at the end only; where the kernel ignores or limits
// the mark, it fires more often and is masked out here.

package poller

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// kernel is one kqueue. The owner calls all methods, but apply is called by
// those who Wake too.
type kernel interface {
	// apply enters the changes one after the other, whatever becomes of those
	// before, and stores each one's errno.
	apply(changes []change)

	// wait fills found and returns how many. It waits for timeout at most;
	// zero returns at once, a negative one waits for ever.
	wait(found []kevent, timeout time.Duration) (n int, errno syscall.Errno)

	// features tells what this kernel can do.
	features() features

	// close releases the kqueue.
	close() error
}

// features are what the kernels differ in.
type features struct {
	userEvents bool // EVFILT_USER exists; if not, a pipe wakes
	urgent     bool // EVFILT_EXCEPT tells out-of-band data
}

// filter is one thing that a kqueue can watch a descriptor for.
type filter uint8

const (
	filterRead filter = iota
	filterWrite
	filterUrgent
	filterUser // no descriptor: fired by opTrigger
	filterCount
)

// change is one entry of a change list.
type change struct {
	ident  int
	filter filter
	op     op
	errno  syscall.Errno // the outcome
}

type op uint8

const (
	opAdd     op = iota // edge-triggered (EV_CLEAR)
	opAddEnd            // the same, to fire at the end only (NOTE_LOWAT)
	opDelete            // ENOENT if there is none
	opProbe             // changes nothing; ENOENT if there is none
	opTrigger           // fires a user event
)

// kevent is one event found.
type kevent struct {
	ident  int
	filter filter
	end    bool // EV_EOF: this direction is closed
	failed bool // an error came with it
}

// watch is what is known of one descriptor number.
type watch struct {
	token    Token
	interest Interest
	filters  filterSet // that the kernel took; none: not registered
	ended    filterSet // those of read and write that told their end
}

type filterSet uint8

func (s filterSet) has(f filter) bool { return s&(1<<f) != 0 }
func (s *filterSet) add(f filter)     { *s |= 1 << f }

const bothEnded filterSet = 1<<filterRead | 1<<filterWrite

// timeoutMax is the longest wait: some kernels refuse more than some years.
const timeoutMax = 24 * time.Hour

// kqueue is a Poller. Bell and mutex are everybody's, the rest is the owner's.
type kqueue struct {
	bell doorbell

	// rousing keeps those who rouse from a kqueue that is closed meanwhile,
	// whose descriptor number may have a new owner.
	rousing sync.Mutex
	shut    bool
	rouser  rouser

	kernel  kernel
	watches []watch // by descriptor; kqueue's own user data holds no token everywhere

	raw   []kevent
	room  int
	n     int
	errno syscall.Errno
}

// rouser ends a wait of the kernel's.
type rouser interface {
	// rouse may be called from any goroutine.
	rouse()
	// heard reports whether e came from here, and makes it ready for the next.
	heard(e kevent) bool
	// close releases what the rouser owns.
	close()
}

// openKqueue returns a Poller over k, which it owns also when it fails.
func openKqueue(k kernel) (Poller, error) {
	open := openPipeRouser
	if k.features().userEvents {
		open = openUserRouser
	}
	r, err := open(k)
	if err != nil {
		k.close()
		return nil, err
	}
	return &kqueue{kernel: k, rouser: r}, nil
}

// Add implements Poller.
func (p *kqueue) Add(fd int, interest Interest, token Token) error {
	if token == Reserved {
		return ErrToken
	}
	if p.bell.isClosed() {
		return ErrClosed
	}
	if fd < 0 {
		return kqueueError("add", fd, syscall.EBADF)
	}
	for fd >= len(p.watches) {
		p.watches = append(p.watches, watch{})
	}
	// A kqueue would take it twice without a word. That we know the number is
	// not enough: it may have been closed and opened again.
	w := &p.watches[fd]
	if w.filters != 0 && p.control(fd, opProbe, w.anyFilter()) == 0 {
		return kqueueError("add", fd, syscall.EEXIST)
	}
	*w = watch{}
	return p.install("add", fd, interest, token)
}

// Modify implements Poller. It replaces the filters, because not every kernel
// looks again when it is asked for what it has. If it fails, the registration
// has ended.
func (p *kqueue) Modify(fd int, interest Interest, token Token) error {
	if token == Reserved {
		return ErrToken
	}
	if err := p.uninstall("modify", fd); err != nil {
		return err
	}
	return p.install("modify", fd, interest, token)
}

// Remove implements Poller.
func (p *kqueue) Remove(fd int) error {
	return p.uninstall("remove", fd)
}

// Poll implements Poller.
func (p *kqueue) Poll(events []Event) (int, error) {
	if p.bell.isClosed() {
		return 0, ErrClosed
	}
	p.prepare(len(events))
	p.fetch(0)
	p.bell.clear()
	return p.deliver(events)
}

// Park implements Poller. It blocks the thread.
func (p *kqueue) Park(events []Event, deadline time.Time) (int, error) {
	if p.bell.isClosed() {
		return 0, ErrClosed
	}
	p.prepare(len(events))
	timeout := timeoutUntil(deadline)
	if !p.bell.sleep() {
		timeout = 0
	}
	p.fetch(timeout)
	p.bell.clear()
	return p.deliver(events)
}

// Wake implements Poller.
func (p *kqueue) Wake() error {
	rouse, err := p.bell.ring()
	if !rouse {
		return err
	}
	p.rousing.Lock()
	defer p.rousing.Unlock()
	if !p.shut {
		p.rouser.rouse()
	}
	return nil
}

// Close implements Poller.
func (p *kqueue) Close() error {
	if !p.bell.close() {
		return ErrClosed
	}
	p.rousing.Lock()
	defer p.rousing.Unlock()
	p.shut = true
	p.rouser.close()
	return p.kernel.close()
}

// install adds the filters of an unregistered descriptor. Those of the interest
// must succeed, the others tell what they can: a pipe has one direction, and
// without the filter for urgent data every read is suspected.
func (p *kqueue) install(name string, fd int, interest Interest, token Token) error {
	changes := [...]change{
		{ident: fd, filter: filterRead, op: opAddEnd},
		{ident: fd, filter: filterWrite, op: opAddEnd},
		{ident: fd, filter: filterUrgent, op: opAdd},
	}
	n := len(changes) - 1
	if interest&Read != 0 {
		changes[filterRead].op = opAdd
		if p.kernel.features().urgent {
			n++
		}
	}
	if interest&Write != 0 {
		changes[filterWrite].op = opAdd
	}
	p.kernel.apply(changes[:n])

	w := &p.watches[fd]
	*w = watch{token: token, interest: interest}
	var failure syscall.Errno
	for _, c := range changes[:n] {
		switch {
		case c.errno == 0:
			w.filters.add(c.filter)
		case c.filter != filterUrgent && c.op == opAdd && failure == 0:
			failure = c.errno
		}
	}
	if failure == 0 && w.filters == 0 {
		failure = changes[filterRead].errno
	}
	if failure == 0 {
		return nil
	}
	if w.filters != 0 {
		_ = p.uninstall(name, fd)
	}
	return kqueueError(name, fd, failure)
}

// uninstall deletes all filters of a descriptor.
func (p *kqueue) uninstall(name string, fd int) error {
	if p.bell.isClosed() {
		return ErrClosed
	}
	if fd < 0 {
		return kqueueError(name, fd, syscall.EBADF)
	}
	if fd >= len(p.watches) || p.watches[fd].filters == 0 {
		return kqueueError(name, fd, syscall.ENOENT)
	}
	w := &p.watches[fd]
	var changes [filterCount]change
	n := 0
	for f := range filterCount {
		if w.filters.has(f) {
			changes[n] = change{ident: fd, filter: f, op: opDelete}
			n++
		}
	}
	*w = watch{}
	p.kernel.apply(changes[:n])
	for _, c := range changes[:n] {
		if c.errno != 0 {
			return kqueueError(name, fd, c.errno)
		}
	}
	return nil
}

// control enters one change.
func (p *kqueue) control(fd int, o op, f filter) syscall.Errno {
	changes := [...]change{{ident: fd, filter: f, op: o}}
	p.kernel.apply(changes[:])
	return changes[0].errno
}

// prepare makes room for n raw events.
func (p *kqueue) prepare(n int) {
	if n > len(p.raw) {
		p.raw = make([]kevent, n)
	}
	p.room = n
}

// fetch asks the kernel once.
func (p *kqueue) fetch(timeout time.Duration) {
	p.n, p.errno = 0, syscall.EINVAL
	if p.room > 0 {
		p.n, p.errno = p.kernel.wait(p.raw[:p.room], timeout)
	}
}

// deliver translates what fetch found, at once: a moment later the number may
// belong to another registration. Two filters of a descriptor give two events.
func (p *kqueue) deliver(events []Event) (n int, err error) {
	if p.errno == syscall.EINTR {
		return 0, nil
	}
	if p.errno != 0 {
		return 0, fmt.Errorf("poller: kevent: %w", p.errno)
	}
	for _, raw := range p.raw[:p.n] {
		if p.rouser.heard(raw) || raw.ident >= len(p.watches) {
			continue
		}
		w := &p.watches[raw.ident]
		if ready := w.readiness(raw); ready != 0 {
			events[n] = Event{Token: w.token, Ready: ready}
			n++
		}
	}
	return n, nil
}

// readiness translates one event and remembers which directions have ended.
func (w *watch) readiness(e kevent) (ready Ready) {
	if e.end {
		w.ended.add(e.filter)
	}
	if e.failed {
		ready |= Failed
	}
	if w.ended&bothEnded == bothEnded {
		ready |= HangUp
	}
	switch {
	case e.filter == filterRead && w.interest&Read != 0:
		ready |= Readable
		if e.end {
			ready |= ReadClosed
		}
		if !w.filters.has(filterUrgent) {
			ready |= Urgent
		}
	case e.filter == filterWrite && w.interest&Write != 0:
		ready |= Writable
	case e.filter == filterUrgent:
		ready |= Urgent
	}
	return ready
}

// anyFilter is one that the kernel has, if the registration lives.
func (w *watch) anyFilter() filter {
	for f := range filterCount {
		if w.filters.has(f) {
			return f
		}
	}
	return filterRead
}

// timeoutUntil is how long to wait; negative means for ever.
func timeoutUntil(deadline time.Time) time.Duration {
	if deadline.IsZero() {
		return -1
	}
	return min(max(time.Until(deadline), 0), timeoutMax)
}

func kqueueError(name string, fd int, errno syscall.Errno) error {
	return fmt.Errorf("poller: kevent %s fd %d: %w", name, fd, errno)
}
