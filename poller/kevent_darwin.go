package poller

import "golang.org/x/sys/unix"

// darwin can do all.
const (
	hasUserEvents    = true
	filterNumberUser = unix.EVFILT_USER
	noteTrigger      = unix.NOTE_TRIGGER

	hasUrgentFilter    = true
	filterNumberUrgent = unix.EVFILT_EXCEPT
	noteUrgent         = unix.NOTE_OOB

	flagReceipt = unix.EV_RECEIPT
)
