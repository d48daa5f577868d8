//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package poller

// Open returns ErrUnsupported: this system has neither epoll nor kqueue.
func Open() (Poller, error) {
	return nil, ErrUnsupported
}
