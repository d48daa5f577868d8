//go:build !linux

package load

import (
	"time"

	"github.com/weirnet/weir/poller"
)

// alarm is the park's deadline alone.
type alarm struct{}

func newAlarm(poller.Poller, poller.Token) (*alarm, error) { return nil, nil }
func (*alarm) set(time.Duration)                           {}
func (*alarm) close()                                      {}
