//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import "errors"

// TCP_USER_TIMEOUT is Linux's own.

func setUserTimeout(int, int) error { return errors.ErrUnsupported }

func userTimeout(int) (int, error) { return 0, errors.ErrUnsupported }
