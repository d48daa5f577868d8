// The Linux backend. A goroutine that has nothing to do waits on the Go
// runtime's own poller, which watches our epoll descriptor like any other: a
// loop that waits costs no thread, and is resumed without a hand-over.
//
//	registered descriptors ─► our epoll ─► the runtime's epoll ─► parked goroutine

package poller

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weirnet/weir/internal/sock"
)

// epoll is a Poller. All fields but bell and file belong to the owner.
type epoll struct {
	bell doorbell

	fd   int
	file *os.File // owns fd; known to the runtime's poller
	conn syscall.RawConn
	look func(fd uintptr) bool // p.fetch, stored once so that a Park allocates nothing

	// An eventfd that fd watches by edges, so that nobody has to read it.
	wake  *os.File
	rouse syscall.RawConn
	ring  func(fd uintptr) bool // p.write, stored once
	one   [8]byte               // what is written: 1 in the machine's byte order

	// The deadline that the runtime holds for file. It stays in force, expired
	// or not, until another one is set; unsure means that it has to be.
	armed  time.Time
	unsure bool

	// One call's work: how much room there is, what the kernel wrote.
	room  int
	raw   []unix.EpollEvent
	n     int
	errno syscall.Errno
}

// Open returns a new Poller, which the calling goroutine owns and must close.
func Open() (Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("poller: epoll_create1: %w", err)
	}
	// NewFile hands only non-blocking descriptors to the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("poller: set epoll non-blocking: %w", err)
	}
	p := &epoll{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	// It does not tell whether the poller took it; a deadline does.
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("poller: the runtime cannot watch epoll: %w", err)
	}
	p.conn, err = p.file.SyscallConn()
	if err != nil {
		p.file.Close()
		return nil, fmt.Errorf("poller: %w", err)
	}
	p.look = p.fetch
	if err := p.openWake(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// openWake makes the eventfd.
func (p *epoll) openWake() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC) // blocking: the runtime's poller need not know it
	if err != nil {
		return fmt.Errorf("poller: eventfd: %w", err)
	}
	binary.NativeEndian.PutUint64(p.one[:], 1)
	p.ring = p.write
	p.wake = os.NewFile(uintptr(fd), "eventfd")
	if p.rouse, err = p.wake.SyscallConn(); err == nil {
		err = p.control(unix.EPOLL_CTL_ADD, "add", fd, Read, Reserved)
	}
	if err != nil {
		p.wake.Close()
		return fmt.Errorf("poller: watch eventfd: %w", err)
	}
	return nil
}

// write adds 1 to the eventfd. It would block only after 2^63 times.
func (p *epoll) write(fd uintptr) bool {
	// one is on the heap, which does not move, and p keeps it alive.
	_, _ = sock.RawSyscall6(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p.one)), uintptr(len(p.one)), 0, 0, 0)
	runtime.KeepAlive(p)
	return true
}

// Add implements Poller.
func (p *epoll) Add(fd int, interest Interest, token Token) error {
	if token == Reserved {
		return ErrToken
	}
	return p.control(unix.EPOLL_CTL_ADD, "add", fd, interest, token)
}

// Modify implements Poller.
func (p *epoll) Modify(fd int, interest Interest, token Token) error {
	if token == Reserved {
		return ErrToken
	}
	return p.control(unix.EPOLL_CTL_MOD, "modify", fd, interest, token)
}

// Remove implements Poller.
func (p *epoll) Remove(fd int) error {
	return p.control(unix.EPOLL_CTL_DEL, "remove", fd, 0, 0)
}

// Poll implements Poller.
func (p *epoll) Poll(events []Event) (int, error) {
	if p.bell.isClosed() {
		return 0, ErrClosed
	}
	p.prepare(len(events))
	p.fetch(uintptr(p.fd))
	p.bell.clear()
	return p.deliver(events)
}

// Park implements Poller. Deadlines have the grain of the runtime's timers.
func (p *epoll) Park(events []Event, deadline time.Time) (int, error) {
	if p.bell.isClosed() {
		return 0, ErrClosed
	}
	p.prepare(len(events))
	if err := p.arm(deadline); err != nil {
		return 0, err
	}
	if !p.bell.sleep() {
		p.fetch(uintptr(p.fd))
		p.bell.clear()
		return p.deliver(events)
	}
	err := p.conn.Read(p.look)
	p.bell.clear()
	if err == nil {
		return p.deliver(events)
	}
	// The deadline passed, or a Wake moved it into the past. Read may have
	// noticed before it looked, so look now.
	p.unsure = true
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, fmt.Errorf("poller: park: %w", err)
	}
	p.fetch(uintptr(p.fd))
	return p.deliver(events)
}

// Wake implements Poller. After Close the file refuses it.
func (p *epoll) Wake() error {
	rouse, err := p.bell.ring()
	if rouse {
		_ = p.rouse.Write(p.ring)
	}
	return err
}

// Close implements Poller.
func (p *epoll) Close() error {
	if !p.bell.close() {
		return ErrClosed
	}
	return errors.Join(p.file.Close(), p.wake.Close())
}

// control enters one change of a registration into the kernel.
func (p *epoll) control(op int, name string, fd int, interest Interest, token Token) error {
	if p.bell.isClosed() {
		return ErrClosed
	}
	// Two fields, not a cast: their place differs between architectures.
	event := unix.EpollEvent{
		Events: interest.epollMask(),
		Fd:     int32(uint32(token)),
		Pad:    int32(uint32(token >> 32)),
	}
	if err := unix.EpollCtl(p.fd, op, fd, &event); err != nil {
		return fmt.Errorf("poller: epoll_ctl %s fd %d: %w", name, fd, err)
	}
	return nil
}

// prepare makes room for n raw events.
func (p *epoll) prepare(n int) {
	if n > len(p.raw) {
		p.raw = make([]unix.EpollEvent, n)
	}
	p.room = n
}

// fetch asks the kernel once, without waiting. It reports whether there is
// something to return: events or an error, EINTR too, because a call that was
// interrupted may have been the one that an edge was meant for.
func (p *epoll) fetch(fd uintptr) bool {
	p.n, p.errno = 0, unix.EINVAL
	if p.room == 0 {
		return true
	}
	// raw is on the heap, which does not move, and p keeps it alive.
	var n uintptr
	n, p.errno = sock.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd,
		uintptr(unsafe.Pointer(&p.raw[0])), uintptr(p.room), 0, 0, 0)
	if p.errno == 0 {
		p.n = int(n)
	}
	runtime.KeepAlive(p)
	return p.n > 0 || p.errno != 0
}

// deliver translates what fetch found.
func (p *epoll) deliver(events []Event) (int, error) {
	if p.errno != 0 && p.errno != unix.EINTR {
		return 0, fmt.Errorf("poller: epoll_pwait: %w", p.errno)
	}
	n := 0
	for i := range p.raw[:p.n] {
		raw := &p.raw[i]
		token := Token(uint32(raw.Fd)) | Token(uint32(raw.Pad))<<32
		if token == Reserved {
			continue
		}
		events[n] = Event{Token: token, Ready: readyFromEpoll(raw.Events)}
		n++
	}
	return n, nil
}

// arm hands the deadline to the runtime, unless it is the one already there.
func (p *epoll) arm(deadline time.Time) error {
	if !p.unsure && deadline.Equal(p.armed) {
		return nil
	}
	if err := p.file.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("poller: set deadline: %w", err)
	}
	p.armed, p.unsure = deadline, false
	return nil
}

// epollMask is what the kernel is asked for; it adds ERR and HUP by itself.
func (i Interest) epollMask() uint32 {
	mask := uint32(unix.EPOLLET)
	if i&Read != 0 {
		mask |= unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI
	}
	if i&Write != 0 {
		mask |= unix.EPOLLOUT
	}
	return mask
}

// epollReady pairs the kernel's bits with ours.
var epollReady = [...]struct {
	bit   uint32
	ready Ready
}{
	{unix.EPOLLIN, Readable},
	{unix.EPOLLOUT, Writable},
	{unix.EPOLLRDHUP, ReadClosed},
	{unix.EPOLLHUP, HangUp},
	{unix.EPOLLERR, Failed},
	{unix.EPOLLPRI, Urgent},
}

func readyFromEpoll(bits uint32) (ready Ready) {
	for _, pair := range epollReady {
		if bits&pair.bit != 0 {
			ready |= pair.ready
		}
	}
	return ready
}
