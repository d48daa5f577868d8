//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sock

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLimits(t *testing.T) {
	soft, hard, err := FDLimit()
	if err != nil || soft == 0 || soft > hard {
		t.Errorf("FDLimit = %d, %d, %v", soft, hard, err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) != soft {
		t.Errorf("soft limit %d, the kernel says %d, %v", soft, limit.Cur, err)
	}
	if n, err := Somaxconn(); (err != nil || n <= 0) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Somaxconn = %d, %v", n, err)
	}
	if lo, hi, err := PortRange(); err != nil || lo <= 0 || lo >= hi || hi > 65535 {
		t.Errorf("PortRange = %d, %d, %v", lo, hi, err)
	}
}
