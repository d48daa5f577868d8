package protobuf

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirnet/weir/session/message"
)

// Format is a message.Format. The zero Format has the default limits.
type Format struct {
	Limits message.Limits
}

// Fields of a Message.
const (
	messageKind protowire.Number = iota + 1
	messageType
	messageSource
	messageTarget
	messageCorrelation
	messageVersion
	messageValues
)

// Fields of an Entry.
const (
	entryKey protowire.Number = iota + 1
	entryValue
)

// Fields of a Value, of which one is there, or none.
const (
	valueBool protowire.Number = iota + 1
	valueInt
	valueUint
	valueFloat
	valueString
	valueStringBytes
	valueBytes
	valueNested
	valueArray
)

// The only field of Values, and of an Array.
const onlyField protowire.Number = 1
