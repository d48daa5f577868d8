package messagetest

import (
	"errors"
	"runtime"
	"testing"

	"github.com/weirnet/weir/session/message"
)

// Hostile checks that each input is refused, and for little memory: 256 KiB and 16 times its
// length, whatever it announces.
func Hostile(t *testing.T, f message.Format, inputs map[string][]byte) {
	for name, p := range inputs {
		t.Run(name, func(t *testing.T) {
			got := &message.Message{}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := f.Parse(p, got)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, message.ErrMalformed) && !errors.Is(err, message.ErrLimit) {
				t.Errorf("%q: %v", short(p), err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 256<<10+16*uint64(len(p)) {
				t.Errorf("%q: %d bytes of memory for %d", short(p), took, len(p))
			}
		})
	}
}
