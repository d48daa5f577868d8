package poller

import "golang.org/x/sys/unix"

// FreeBSD cannot tell urgent data.
const (
	hasUserEvents    = true
	filterNumberUser = unix.EVFILT_USER
	noteTrigger      = unix.NOTE_TRIGGER

	hasUrgentFilter    = false
	filterNumberUrgent = noFilter
	noteUrgent         = 0

	flagReceipt = unix.EV_RECEIPT
)
