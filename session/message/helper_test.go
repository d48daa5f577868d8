package message_test

import (
	"math"

	"github.com/weirnet/weir/session/message"
)

func negativeZero() message.Value { return message.Float(math.Copysign(0, -1)) }
