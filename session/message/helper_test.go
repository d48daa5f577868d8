package message_test

import (
	"math"

	"github.com/weirnet/weir/session/message"
)

func negativeZero() message.Value { return message.Float(math.Copysign(0, -1)) }

// nan returns a quiet NaN with some of its lowest bits set.
func nan(low uint64) message.Value {
	return message.Float(math.Float64frombits(0x7ff8000000000000 | low))
}
