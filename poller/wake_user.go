//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller

import "fmt"

// userRouser ends a wait by a user event (EVFILT_USER), which costs no
// descriptor. Triggers that come before it is reported are one.
type userRouser struct {
	kernel kernel
}

// userIdent names the only user event; user events have names of their own.
const userIdent = 0

func openUserRouser(k kernel) (rouser, error) {
	changes := [...]change{{ident: userIdent, filter: filterUser, op: opAdd}}
	k.apply(changes[:])
	if errno := changes[0].errno; errno != 0 {
		return nil, fmt.Errorf("poller: kevent add user event: %w", errno)
	}
	return &userRouser{kernel: k}, nil
}

func (r *userRouser) rouse() {
	changes := [...]change{{ident: userIdent, filter: filterUser, op: opTrigger}}
	r.kernel.apply(changes[:])
}

func (r *userRouser) heard(e kevent) bool { return e.filter == filterUser }

func (r *userRouser) close() {}
