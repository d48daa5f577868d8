package poller

// NetBSD has no user events, cannot tell urgent data, and gives no receipts.
const (
	hasUserEvents    = false
	filterNumberUser = noFilter
	noteTrigger      = 0

	hasUrgentFilter    = false
	filterNumberUrgent = noFilter
	noteUrgent         = 0

	flagReceipt = 0
)
