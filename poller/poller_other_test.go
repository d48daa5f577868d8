//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package poller

import (
	"errors"
	"testing"
)

func TestUnsupported(t *testing.T) {
	p, err := Open()
	if p != nil || !errors.Is(err, ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("open: %v, %v", p, err)
	}
}
