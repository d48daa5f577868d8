package sock

import "golang.org/x/sys/unix"

// lingerOption: SO_LINGER counts clock ticks here, SO_LINGER_SEC seconds.
const lingerOption = unix.SO_LINGER_SEC
