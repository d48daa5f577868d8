package poller

import "golang.org/x/sys/unix"

// OpenBSD has no user events.
const (
	hasUserEvents    = false
	filterNumberUser = noFilter
	noteTrigger      = 0

	hasUrgentFilter    = true
	filterNumberUrgent = unix.EVFILT_EXCEPT
	noteUrgent         = unix.NOTE_OOB

	flagReceipt = unix.EV_RECEIPT
)
