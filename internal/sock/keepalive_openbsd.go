package sock

import "errors"

// OpenBSD has one keep-alive time for the whole system.

func setKeepAliveSeconds(int, int) error { return errors.ErrUnsupported }

func keepAliveSeconds(int) (int, error) { return 0, errors.ErrUnsupported }
