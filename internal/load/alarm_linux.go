package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirnet/weir/poller"
)

// alarm ends a park at a moment of its own, to some 50 µs; the deadline of a park
// has the grain of the runtime's timers, a millisecond.
type alarm struct {
	fd int
}

func newAlarm(p poller.Poller, token poller.Token) (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: timerfd_create: %w", err)
	}
	if err := p.Add(fd, poller.Read, token); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("load: %w", err)
	}
	return &alarm{fd}, nil
}

// set asks for one event after so long, and forgets what was asked before.
func (a *alarm) set(after time.Duration) {
	_ = unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(after), 1))}, nil) // else the park's deadline serves
}

func (a *alarm) close() {
	if a != nil {
		unix.Close(a.fd)
	}
}
