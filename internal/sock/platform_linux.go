package sock

import "golang.org/x/sys/unix"

// What Linux does differently from the BSDs in small things.
const (
	inheritsOptions = true // accepted connections have the listener's options
	abstractNames   = true // unix names that start with @ have no file
	reusePort       = unix.SO_REUSEPORT
)
