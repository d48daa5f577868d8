package sock

import "errors"

// Configure gives one connection its options: one that was dialled or adopted,
// or accepted from a Listener without Inherits. What the system or the kind of
// socket lacks is left out without an error: keep-alive times on OpenBSD, the
// user timeout on all but Linux, and TCP options on unix sockets.
//
// On darwin and the BSDs a connection that the peer has reset meanwhile gives an
// error here (EINVAL or ECONNRESET).
func Configure(sys System, fd int, o ConnOptions) error {
	err := setIfSupported(sys, fd, NoDelay, boolValue(o.NoDelay))
	if err == nil {
		err = setIfSupported(sys, fd, KeepAlive, boolValue(o.KeepAliveSeconds > 0))
	}
	if err == nil && o.KeepAliveSeconds > 0 {
		err = setIfSupported(sys, fd, KeepAliveSeconds, o.KeepAliveSeconds)
	}
	if err == nil && o.UserTimeoutMillis > 0 {
		err = setIfSupported(sys, fd, UserTimeoutMillis, o.UserTimeoutMillis)
	}
	return err
}

func setIfSupported(sys System, fd int, o Option, value int) error {
	err := sys.SetOption(fd, o, value)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

func boolValue(b bool) int {
	if b {
		return 1
	}
	return 0
}
